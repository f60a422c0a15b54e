"""Chat templates of the language models' families, in Hugging Face's Jinja."""

START = "\n"
"""What stands before an image that would otherwise be a sequence's first token, where there is no start token."""

# Jinja shared by the templates below: a message's content as text, and the order of roles they all need.
_TEXT = (
    "{%- macro text(content) -%}"
    "{%- if content is string -%}{{ content }}{%- else -%}{%- for part in content -%}"
    "{%- if part['type'] == 'image' -%}<image>"
    "{%- elif part['type'] == 'text' -%}{{ part['text'] }}"
    "{%- else -%}{{ raise_exception('content of type ' ~ part['type'] ~ ' is not supported') }}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}{%- endmacro -%}"
)
_ALTERNATE = (
    "{%- if message['role'] != ('user' if loop.index0 % 2 == 0 else 'assistant') -%}"
    "{{ raise_exception('roles must alternate user, assistant, user, ...') }}{%- endif -%}"
)

TEMPLATES: dict[str, str] = {
    "plain": _TEXT
    + "{%- set roles = messages | map(attribute='role') | list -%}"
    + "{%- if roles != (['user'] if add_generation_prompt else ['user', 'assistant']) -%}"
    + "{{ raise_exception('the plain template takes one user turn and one answer') }}{%- endif -%}"
    + "{{ bos_token or '\\n' }}{{ '<image>' * text(messages[0]['content']).count('<image>') }}"
    + "{%- if not add_generation_prompt -%}"
    + "{%- generation -%}{{ text(messages[1]['content']) | trim }}{{ '\\n' }}{%- endgeneration -%}{%- endif -%}",
    "vicuna_v1": _TEXT
    + "{{ bos_token or '' }}{{ 'A chat between a curious user and an artificial intelligence assistant. The assistant "
    + "gives helpful, detailed, and polite answers to the user\\'s questions. ' }}"
    + "{%- for message in messages -%}"
    + _ALTERNATE
    + "{%- if message['role'] == 'user' -%}{{ 'USER: ' + text(message['content']) }}"
    + "{%- else -%}{{ ' ASSISTANT:' }}{%- generation -%}{{ ' ' + text(message['content']) | trim + eos_token }}"
    + "{%- endgeneration -%}{%- endif -%}{%- endfor -%}"
    + "{%- if add_generation_prompt -%}{{ ' ASSISTANT:' }}{%- endif -%}",
    "chatml": _TEXT
    + "{{ bos_token or '' }}{%- for message in messages -%}"
    + "{{ '<|im_start|>' + message['role'] + '\\n' }}"
    + "{%- if message['role'] == 'assistant' -%}"
    + "{%- generation -%}{{ text(message['content']) | trim + '<|im_end|>' }}{%- endgeneration -%}"
    + "{%- else -%}{{ text(message['content']) + '<|im_end|>' }}{%- endif -%}{{ '\\n' }}{%- endfor -%}"
    + "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}",
    "mistral": _TEXT
    + "{{ bos_token or '' }}{%- for message in messages -%}"
    + _ALTERNATE
    + "{%- if message['role'] == 'user' -%}{{ '[INST] ' + text(message['content']) + ' [/INST]' }}"
    + "{%- else -%}{%- generation -%}{{ ' ' + text(message['content']) | trim + eos_token }}{%- endgeneration -%}"
    + "{%- endif -%}{%- endfor -%}",
    "llama3": _TEXT
    + "{{ bos_token or '' }}{%- for message in messages -%}"
    + "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}"
    + "{%- if message['role'] == 'assistant' -%}"
    + "{%- generation -%}{{ text(message['content']) | trim + '<|eot_id|>' }}{%- endgeneration -%}"
    + "{%- else -%}{{ text(message['content']) | trim + '<|eot_id|>' }}{%- endif -%}{%- endfor -%}"
    + "{%- if add_generation_prompt -%}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif -%}",
}
"""Chat templates by name; save the chosen one as the tokenizer's `chat_template`.

`plain` is LLaVA's first stage: images, then the caption and a line break; without a start token it begins with a line
break, since Eq. 2 of the paper predicts the first visual token from a token before it. The others are the formats of
those families. `chatml` (Qwen) writes no system turn of its own and no thinking block, for Qwen2.5 and Qwen3 alike.
`mistral` has no space before `[INST]`: the tokenizer of Mistral-7B adds one after a special token.

`{% generation %}` encloses exactly what the model must produce, its end token included. Answers lose white space at
both ends, so that an answer's first token never merges with the prompt's last one.
"""

END_TOKENS = {"chatml": "<|im_end|>", "llama3": "<|eot_id|>"}
"""What an answer ends with, by template, where that is not the tokenizer's own end token."""
