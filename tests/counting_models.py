"""Small real tokenizers and chat templates for the tests of counters."""

import json
import struct

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CHATML = """\
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0]['role'] == 'system' %}{{- messages[0]['content'] + '\\n\\n' }}{%- endif %}
    {{- '# Tools\\n<tools>' }}
    {%- for tool in tools %}{{- '\\n' + (tool | tojson) }}{%- endfor %}
    {{- '\\n</tools><|im_end|>\\n' }}
{%- elif messages[0]['role'] != 'system' %}
    {{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}
{%- endif %}
{%- set seen = namespace(calls=0) %}
{%- for message in messages %}
    {%- if message.role == 'system' and tools %}{%- continue %}{%- endif %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content }}
    {%- for call in message.tool_calls or [] %}
        {%- set seen.calls = seen.calls + 1 %}
        {{- '\\n<tool_call>{"name": "' + call.function.name + '", "arguments": ' }}
        {{- call.function.arguments | tojson }}{{- '}</tool_call>' }}
    {%- endfor %}
    {{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
"""
"""As Qwen's: a default system prompt, tools as JSON in a line."""

LLAMA3 = """\
{{- bos_token }}
{%- set date_string = strftime_now("%d %b %Y") %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{{- "Cutting Knowledge Date: December 2023\\nToday Date: " + date_string + "\\n\\n" }}
{%- if tools is not none %}
    {%- for t in tools %}{{- t | tojson(indent=4) }}{{- "\\n\\n" }}{%- endfor %}
{%- endif %}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if 'tool_calls' in message %}
        {{- "<|start_header_id|>assistant<|end_header_id|>\\n\\n" }}
        {{- message.tool_calls[0].function | tojson }}{{- "<|eot_id|>" }}
    {%- else %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}
"""
"""As Llama 3's: start of text, a date, tools indented."""

MISTRAL = """\
{% if messages[0].role == 'system' %}{% set rules = messages[0].content + '\n\n' %}{% else %}{% set rules = '' %}{% endif %}
{{ bos_token }}{% for message in messages if message.role != 'system' %}
{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}
{% if message['role'] == 'user' %}
{{ '[INST] ' + (rules if loop.last else '') + message['content'] + ' [/INST]' }}
{% else %}
{% generation %}{{ message['content'] + eos_token }}{% endgeneration %}
{% endif %}
{% endfor %}
"""
"""As Mistral's: refuses roles that do not alternate, puts the rules into the last message, knows no tools."""

SPECIAL = ("<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
CORPUS = [
    "water damage is reported within 72 hours, says the handbook of the insurer",
    '{"type": "function", "name": "x"}',
] * 3


def byte_level(*, normalizer=None):
    """Byte-level BPE as GPT-2's and its like; text of a model begins with ``<s>``, as the post-processor says."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=list(SPECIAL),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    tokenizer.enable_truncation(max_length=4)
    return tokenizer


def word_pieces():
    """As BERT's: lower case, word pieces, ``[UNK]``."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=["[UNK]"], show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def sentence_pieces():
    """As Llama 2's: BPE over characters with a byte for what it does not know, and a mark before the first word."""
    letters = sorted({character for text in CORPUS for character in text.replace(" ", "▁")} | {"▁"})
    vocabulary = {f"<0x{byte:02X}>": byte for byte in range(256)} | {letter: 256 + n for n, letter in enumerate(letters)}
    pairs = [("t", "h"), ("▁", "th"), ("i", "n"), ("e", "r"), ("▁", "w"), ("▁w", "at"), ("a", "t")]
    for left, right in pairs:
        for piece in (left, right, left + right):
            vocabulary.setdefault(piece, len(vocabulary))
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=pairs, byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.add_special_tokens([AddedToken(each, special=True, normalized=False) for each in SPECIAL])
    return tokenizer


def write_gguf(path, pairs, *, version=3):
    """A GGUF file without tensors: strings, booleans, whole numbers, and lists of strings, floats or whole numbers."""
    body = struct.pack("<4sIQQ", b"GGUF", version, 0, len(pairs))
    for key, value in pairs.items():
        body += _gguf_string(key) + _gguf_value(value)
    path.write_bytes(body)
    return path


def _gguf_string(text):
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _gguf_value(value):
    match value:
        case bool():
            return struct.pack("<I?", 7, value)
        case int():
            return struct.pack("<II", 4, value)
        case str():
            return struct.pack("<I", 8) + _gguf_string(value)
        case [str(), *_]:
            return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(_gguf_string, value))
        case [float(), *_]:
            return struct.pack(f"<IIQ{len(value)}f", 9, 6, len(value), *value)
        case _:
            return struct.pack(f"<IIQ{len(value)}i", 9, 5, len(value), *value)


def gguf_of(tokenizer, *, model, pre=None, **more):
    """The pairs of a GGUF file with the vocabulary of a tokenizer; special tokens are its control tokens."""
    parts = json.loads(tokenizer.to_str())
    numbers = tokenizer.get_vocab(with_added_tokens=True)
    tokens = sorted(numbers, key=numbers.get)
    special = {each["content"] for each in parts["added_tokens"]}
    pairs = {
        "general.architecture": "llama",
        "tokenizer.ggml.model": model,
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [3 if token in special else 6 if token.startswith("<0x") else 1 for token in tokens],
        "tokenizer.ggml.bos_token_id": numbers["<s>"],
        "tokenizer.ggml.eos_token_id": numbers["</s>"],
    }
    if model == "gpt2":
        pairs |= {
            "tokenizer.ggml.pre": pre,
            "tokenizer.ggml.merges": [" ".join(merge) for merge in parts["model"]["merges"]],
        }
    return pairs | more
