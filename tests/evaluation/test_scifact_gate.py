"""The project gates full text on a published set: SciFact's 300 test questions against a stored baseline.

Words need no vectors, so the 5,183 abstracts are taken in with an embedder that costs nothing. After a change that is meant,
``python tests/evaluation/test_scifact_gate.py`` writes the baseline anew.
"""

import tempfile
from pathlib import Path

import pytest

from llmapp.application import App
from llmapp.config import PriceSettings, Settings
from llmapp.evaluation.baselines import judge, make_baseline, read_baseline, write_baseline
from llmapp.evaluation.corpora import asked, corpus_fingerprint
from llmapp.evaluation.datasets import load_dataset
from llmapp.evaluation.gating import SEARCH_MEASURES, TOLERANCE
from llmapp.evaluation.retrieval import rank_questions
from llmapp.testing.fakes import HashEmbedder
from llmapp.types import Found

BASELINE = Path(__file__).with_name("scifact_lexical.json")


def measured(data, root):
    dataset = load_dataset(data / "scifact" / "beir")
    settings = Settings(root=root, prices={"hash/8": PriceSettings(input_usd_per_million=0)})
    with App(settings, embedder=HashEmbedder(dim=8)) as app, asked(app, dataset) as corpus_app:

        def search(question, top_k):
            return Found(tuple(corpus_app.lexical.retrieve(question.text, principal=question.principal, top_k=top_k)))

        report = rank_questions(corpus_app, dataset, search, corpus=corpus_fingerprint(app, dataset))
    values = {name: report.scores.by_question(name) for name in SEARCH_MEASURES}
    return make_baseline("scifact", report.fingerprints, report.settings, values, tolerance=TOLERANCE)


@pytest.mark.data
def test_full_text_is_as_good_as_its_baseline_and_reaches_the_published_quality(data_dir, tmp_path):
    now = measured(data_dir, tmp_path)
    gate = judge(read_baseline(BASELINE), now)
    assert not gate.has_dropped, {name: each.comparison for name, each in gate.verdicts.items() if each.drop}
    assert now.measures["nDCG@10"]["mean"] >= 0.68


if __name__ == "__main__":
    folder = Path(__file__).resolve().parents[3] / "shared" / "data"
    with tempfile.TemporaryDirectory() as root:
        write_baseline(BASELINE, measured(folder, Path(root)))
