"""Stock models, assembled.

Importing this package makes its two vision towers known to `transformers`: models with discrete or multi-scale visual
input load with `from_pretrained` after `import asvr.models`, all others without it.
"""

from transformers import AutoConfig, AutoModel

from asvr.models.discrete_input import DiscreteTower, DiscreteTowerConfig
from asvr.models.multiscale import MultiScaleTower, MultiScaleTowerConfig

AutoConfig.register("asvr_discrete_tower", DiscreteTowerConfig)
AutoConfig.register("asvr_multiscale_tower", MultiScaleTowerConfig)
AutoModel.register(DiscreteTowerConfig, DiscreteTower)
AutoModel.register(MultiScaleTowerConfig, MultiScaleTower)
