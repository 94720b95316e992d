"""Small real models, made here: BERT with random weights and a vocabulary of letters and some words; and a server."""

import base64
import json
import string
import threading
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from llmapp.testing.fakes import HashEmbedder

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "query", "passage", ":", "water", "damage", "deductible", "glass"]
LETTERS = [*string.ascii_lowercase, *string.digits, *(f"##{letter}" for letter in string.ascii_lowercase + string.digits)]


@pytest.fixture(scope="session")
def make_model(tmp_path_factory):
    """make_model(name, seed=0, prompts=None, max_tokens=48): a folder with a sentence-transformers model."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    def make(name, *, seed=0, prompts=None, max_tokens=48, pooling="mean"):
        home = tmp_path_factory.mktemp("models")
        base, folder = home / "base", home / name
        base.mkdir()
        (base / "vocab.txt").write_text("\n".join([*WORDS, *LETTERS]))
        torch.manual_seed(seed)
        shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
        config = BertConfig(vocab_size=len(WORDS) + len(LETTERS), max_position_embeddings=64, **shape)
        BertModel(config).save_pretrained(base)
        BertTokenizerFast(str(base / "vocab.txt")).save_pretrained(base)
        body = Transformer(str(base), max_seq_length=max_tokens)
        parts = [body, Pooling(body.get_embedding_dimension(), pooling_mode=pooling)]
        SentenceTransformer(modules=parts, device="cpu", prompts=prompts).save(str(folder))
        return folder

    return make


@pytest.fixture(scope="session")
def e5_like(make_model):
    """A model by whose name its prompts are known; it brings none itself."""
    return make_model("e5-small-v2")


class EmbeddingServer(ThreadingHTTPServer):
    """Serves OpenAI's ``/embeddings`` with hashed words; `answers` are given first, one a request."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1"
        self.good = good
        self.connections = 0
        self.clients = ExitStack()
        self.asked, self.headers, self.answers = [], [], []
        self.model = HashEmbedder(dim=24, max_tokens=100_000)

    def process_request(self, request, client_address):
        self.connections += 1
        super().process_request(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append({"path": self.path, **body})
        self.server.headers.append(dict(self.headers))
        status, headers, answer = 200, {}, self.server.answers.pop(0) if self.server.answers else good
        answer = answer(self.server, body) if callable(answer) else answer
        if isinstance(answer, tuple):
            status, headers, answer = answer
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", "content-length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


def good(server, body):
    """As a well-behaved server answers: a provider's own count of tokens, and vectors in whatever order it likes."""
    vectors = server.model.embed_documents(body["input"])[:, : body.get("dimensions")] * np.float32(3)
    if body["encoding_format"] == "base64":
        shown = [base64.b64encode(vector.astype("<f4").tobytes()).decode() for vector in vectors]
    else:
        shown = [[float(value) for value in vector] for vector in vectors]
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(shown)]
    tokens = sum(len(text.split()) for text in body["input"])
    return {"object": "list", "data": data[::-1], "model": body["model"], "usage": {"prompt_tokens": tokens}}


@pytest.fixture
def server():
    serving = EmbeddingServer()
    thread = threading.Thread(target=serving.serve_forever, daemon=True)
    thread.start()
    yield serving
    serving.clients.close()
    serving.shutdown()
    serving.server_close()
    thread.join()
