"""The page of a prediction: complete, standing alone, a function of its records."""

import dataclasses
import html.parser
import math
import re

import pytest

from bellwether.audit import cards, commands, dossier, gathering, page, records
from runtimes.contract import inference
from tests.unit.bellwether.audit.prediction_records import (
    ANSWER,
    ARTIFACT,
    ID,
    PIPELINE,
    START,
    infer,
    model,
    pipeline_records,
    record,
)


def made(found: list[records.Record], kind: dossier.Kind = "pipeline") -> dossier.Dossier:
    card = dossier.Card(
        model="conservative-predictor",
        version="1",
        artifact=ARTIFACT,
        text="# conservative\n\nMade for falling markets.",
        document={"features": {"log_variance_22d": {"unit": "ln", "description": "of a month"}}},
    )
    return dossier.Dossier(
        id=ID,
        kind=kind,
        name=PIPELINE,
        namespace="bellwether",
        time=START + 6,
        entries=tuple(gathering.entry(each) for each in found),
        card=card,
    )


class Structure(html.parser.HTMLParser):
    """The page's ids, the addresses that it loads, and whether its tags close in order."""

    void = frozenset({"meta", "line", "rect"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.loads: list[str] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.ids += [given["id"]] if "id" in given else []
        links = [given[name] for name in ("src", "href") if given.get(name)]
        self.loads += [link for link in links if not link.startswith("#")]
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.void:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in self.void:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in {"script", "style"}:
            self.words += data + "\n"


@pytest.fixture(scope="module")
def drawn():
    return page.render(made(pipeline_records()))


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("forecast", "22.14% a year"),
        ("forecast", "14.40% to 32.80%"),
        ("forecast", "45.20% of wealth"),
        ("inputs", "SPX"),
        ("features", "2018-12-31T21:00:00+00:00"),
        ("features", "technical_indicators"),
        ("features", "the caller"),
        ("features", "missing"),
        ("features", "of a month"),
        ("quality", "0.97"),
        ("drift", "drifted: rsi_14d"),
        ("drift", "score 0.6"),
        ("regime", "trend -0.09 < -0.02"),
        ("explanation", "log_variance_22d"),
        ("explanation", "exact linear SHAP and TreeSHAP"),
        ("rules", "drifted"),
        ("reward", "0.031"),
        ("model", "Made for falling markets."),
        ("steps", "seldon.bellwether.model.guard.outputs"),
    ],
)
def test_every_part_of_a_prediction_is_on_its_page(drawn, section, said):
    (body,) = re.findall(rf'<section id="{section}">(.*?)</section>', drawn, re.DOTALL)
    assert said in Structure(body).words


def test_the_page_is_well_formed_and_loads_nothing(drawn):
    read = Structure(drawn)
    assert read.open == []
    assert read.loads == []
    assert len(read.ids) == len(set(read.ids))
    assert "default-src 'none'" in drawn


def test_the_records_inside_a_page_give_it_again_to_the_byte(drawn):
    assert page.render(page.records(drawn)) == drawn


def test_what_came_later_changes_the_digest():
    found = pipeline_records()
    assert made(found).digest != made(found[:-1]).digest


def test_markup_in_a_record_is_shown_rather_than_obeyed():
    answer = {**ANSWER, "symbol": ("BYTES", ["<script>alert(1)</script>"])}
    answered = inference.topic("bellwether", "pipeline", PIPELINE, "outputs")
    drawn = page.render(made([record(answered, infer(answer))]))
    assert "<script>alert" not in drawn
    assert "<script>alert(1)</script>" in Structure(drawn).words
    assert page.render(page.records(drawn)) == drawn


def test_a_record_that_cannot_be_read_is_named_and_hides_no_other():
    found = [*pipeline_records(), record("rewards", b"{", 700_001), record("rewards", b"7", 9)]
    drawn = page.render(made(found))
    words = Structure(drawn).words
    assert "unreadable: no JSON" in words
    assert "unreadable: expected an object, got int" in words
    assert "0.031" in words


def test_what_is_not_finite_is_missing_rather_than_invalid_json():
    found = gathering.entry(
        record(model("enrichment", "outputs"), infer({"x": ("FP64", [math.nan, math.inf, 1.0])}))
    )
    assert found.tensors is not None
    assert found.tensors["x"].data == (None, "inf", 1.0)


def test_a_reward_that_came_twice_is_said_to(drawn):
    twice = [
        *pipeline_records(),
        dataclasses.replace(pipeline_records()[-1], offset=9, time=START + 800_000),
    ]
    assert "came again" not in drawn
    assert "came again" in Structure(page.render(made(twice))).words


def test_a_request_that_failed_has_a_page_with_the_error():
    failed = record("seldon.bellwether.errors.errors", b"the store is away", 3)
    failed = dataclasses.replace(failed, headers=(("seldon-pipeline-errors", "enrichment_1"),))
    words = Structure(page.render(made([failed], "failed"))).words
    assert "enrichment_1: the store is away" in words


@pytest.mark.parametrize("given", ["", "a b", "x" * 257, "tab\t"])
def test_what_cannot_be_an_id_is_refused(given):
    with pytest.raises(dossier.AuditError, match="id"):
        dossier.checked(given)


def test_a_page_of_another_prediction_and_a_file_that_is_no_page_are_refused(tmp_path, drawn):
    earlier = tmp_path / "page.html"
    earlier.write_text(drawn)
    with pytest.raises(dossier.AuditError, match="is the page of"):
        commands.found(None, "another", earlier)  # type: ignore[arg-type]
    earlier.write_text("<html></html>")
    with pytest.raises(dossier.AuditError, match="no page of `bellwether audit`"):
        commands.found(None, ID, earlier)  # type: ignore[arg-type]


def test_a_full_disk_leaves_the_earlier_page_as_it_was(tmp_path, drawn):
    out = tmp_path / "page.html"
    out.write_text("earlier")
    with pytest.raises(dossier.AuditError, match="cannot be written"):
        commands.write(made(pipeline_records()), out / "inside-a-file.html")
    assert out.read_text() == "earlier"
    commands.write(made(pipeline_records()), out)
    assert out.read_text() == drawn
    assert list(tmp_path.iterdir()) == [out]


def test_a_card_is_found_by_its_contents_digest_alone(tmp_path):
    folder = tmp_path / "conservative" / ARTIFACT
    folder.mkdir(parents=True)
    (folder / "CARD.md").write_text("# card")
    known = cards.local(tmp_path)
    assert known("m", "1", ARTIFACT).text == "# card"
    assert known("m", "1", "../conservative").problem is not None
    assert known("m", "1", "sha256-00").problem is not None
