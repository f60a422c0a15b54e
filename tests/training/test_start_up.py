"""What a command imports before it is known to need it."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["asvr.training.run", "asvr.planning.plan", "asvr.evaluation.suite"])
def test_peft_is_imported_only_for_an_adapter_or_a_trainer(module: str):
    code = f"import sys, {module}; print(*sorted({{'peft', 'bitsandbytes', 'transformers'}} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["transformers"]
