"""The comment: counts first, risks on top, details folded, and never more than GitHub takes."""

import json
import pathlib
import shutil

import pytest

from bellwether.review import comment, digest, reports

FIXTURES = pathlib.Path(__file__).parent / "fixtures"
CANARY = "canary-4711"
SMALL, LARGE = 4_000, comment.LIMIT


@pytest.fixture
def folder(tmp_path):
    """Reports as a run leaves them: the previews are recorded ones of the engine."""
    shutil.copy(FIXTURES / "preview-created.json", tmp_path / "preview-dev.json")
    shutil.copy(FIXTURES / "preview-mixed.json", tmp_path / "preview-production.json")
    write(tmp_path, "policies-dev", [])
    write(tmp_path, "policies-production", [judgement()])
    write(
        tmp_path,
        "rendered-production",
        {"stack": "production", "base": "0123456789abcdef", "files": [rendered_file()]},
    )
    write(
        tmp_path,
        "images",
        [image("router", 180.0, 200), image("explainer", 900.0, 800)],
    )
    write(tmp_path, "load", load(holds=False, broken=["experiment: p99 is 90 ms, at most 50 ms"]))
    return tmp_path


def write(folder, name, document):
    (folder / f"{name}.json").write_text(json.dumps(document))


def judgement(**changes):
    found = {
        "rule": "no-latest", "severity": "mandatory", "object": "Deployment bellwether/monitor",
        "path": "spec.template.spec.containers[0].image", "message": "the tag can be moved",
        "remedy": "pin the digest",
    }  # fmt: skip
    return found | changes


def rendered_file(path="kafka/kafka.yaml", lines=3):
    return {
        "path": path, "added": lines, "removed": 0, "before": [{"kind": "Kafka"}],
        "after": [{"kind": "Kafka", "spec": {}}],
        "diff": "@@ -1 +1 @@\n" + "\n".join(f"+line {i}" for i in range(lines)),
    }  # fmt: skip


def image(name, megabytes, budget, digest=None):
    return {"name": name, "megabytes": megabytes, "budget": budget, "digest": digest}


def load(*, holds=True, broken=()):
    part = {
        "journey": "experiment", "requests": 6000, "failed": 0, "requests_per_second": 199.7,
        "p50_ms": 1.2, "p95_ms": 3.4, "p99_ms": 90.0,
    }  # fmt: skip
    return {"holds": holds, "broken": list(broken), "parts": [part]}


def render(folder, **options):
    return comment.render(reports.read(folder), **options)


def test_the_counts_of_each_stack_come_before_everything_else(folder):
    lines = render(folder, revision="0123456789abcdef").splitlines()
    assert lines[0] == comment.MARKER
    table = [line for line in lines if line.startswith(("| `dev`", "| `production`"))]
    assert table == [
        "| `dev` | 6 | · | · | · | pass | not compared |",
        "| `production` | · | 3 | 1 | 1 | **1 mandatory** | +3 −0 |",
    ]
    assert lines.index(table[0]) < next(i for i, line in enumerate(lines) if "<details>" in line)


def test_risky_changes_stand_above_the_details(folder):
    text = render(folder)
    top = text.partition("<details>")[0]
    assert "**5 risky changes**" in top
    assert "`Topic retired` is deleted: its data may go with it" in top
    assert "`Topic rewards` is replaced" in top
    assert "`Experiment financial-mab-experiment` splits traffic anew: " in top
    assert "`baseline-predictor` 60 → 40" in top
    assert "learns by other rules: `learning`" in top
    assert "loses its protection" in top


def test_what_can_cost_most_comes_first(folder):
    top = render(folder).partition("<details>")[0]
    assert top.index("`Topic retired`") < top.index("splits traffic anew")


def test_details_are_folded_and_every_fold_is_closed(folder):
    text = render(folder)
    assert text.count("<details>") == text.count("</details>") > 4
    assert "Preview of production: 5 resources change" in text
    assert '`configuration["retention.ms"]`' in text
    assert "Policies: 1 violation" in text
    assert "**mandatory** `no-latest` in `production`" in text
    assert "```diff\n@@ -1 +1 @@\n+line 0" in text


def test_images_over_budget_and_broken_thresholds_are_seen_without_a_click(folder):
    top = render(folder).partition("<details>")[0]
    assert "2 built, **1 is over budget**" in top
    assert "**1 threshold is broken**, 6,000 requests" in top


def test_what_could_not_be_made_is_named_with_what_was_said(folder):
    (folder / "preview-staging.txt").write_text("error: stack `staging` needs what is missing here")
    text = render(folder)
    assert "**Not made:** `preview-staging`" in text.partition("<details>")[0]
    assert "needs what is missing here" in text


def test_nothing_that_changes_is_said_in_words(tmp_path):
    write(tmp_path, "preview-dev", {"steps": [], "changeSummary": {"same": 56}})
    assert "| `dev` | · | · | · | · | not run | not compared |" in render(tmp_path)


def test_no_reports_at_all_are_said_in_words(tmp_path):
    assert "Nothing was looked at." in render(tmp_path)


@pytest.mark.parametrize("limit", [SMALL, 16_000, LARGE])
def test_it_stays_within_the_limit_whatever_it_is_about(folder, limit):
    files = [rendered_file(f"part/object-{i}.yaml", lines=400) for i in range(120)]
    write(folder, "rendered-production", {"stack": "production", "base": "b" * 40, "files": files})
    judged = [
        judgement(object=f"Deployment bellwether/part-{i}", message="m" * 200) for i in range(500)
    ]
    write(folder, "policies-production", judged)
    (folder / "preview-staging.txt").write_text("said\n" * 10_000)
    text = render(folder, limit=limit)
    assert len(text.encode()) <= limit
    assert text.count("<details>") == text.count("</details>")
    assert text.count("```") % 2 == 0
    assert "Some details are left out" in text
    assert "| `production` |" in text


def test_when_it_has_to_be_shorter_diffs_go_before_policies_and_counts_never(folder):
    files = [rendered_file(f"part/object-{i}.yaml", lines=900) for i in range(100)]
    write(folder, "rendered-production", {"stack": "production", "base": "b" * 40, "files": files})
    text = render(folder)
    assert "`no-latest`" in text
    assert "Preview of production: 5 resources change" in text
    assert "+line 899" not in text
    assert "`part/object-0.yaml`" in text


def test_with_room_for_nothing_there_is_still_whole_markdown(folder):
    text = render(folder, limit=700)
    assert len(text.encode()) <= 700
    assert text.startswith(comment.MARKER)
    assert "Everything else is left out." in text


def test_characters_of_many_bytes_are_counted_as_bytes(folder):
    judged = [judgement(message="\N{BRAIN}" * 300) for _ in range(500)]
    write(folder, "policies-production", judged)
    assert len(render(folder).encode()) <= comment.LIMIT


def test_names_cannot_change_the_page_around_them(folder):
    hostile = "x` </details> | @team <img src=x> [a](http://b)"
    write(
        folder, "policies-dev",
        [judgement(object=hostile, message=f"{hostile} ``` y")],
    )  # fmt: skip
    text = render(folder)
    (line,) = [each for each in text.splitlines() if "in `dev`" in each]
    name = "``x` </details> \\| @team <img src=x> [a](http://b)``"
    assert name in line
    said = line.replace(name, "")
    assert "&lt;/details&gt;" in said
    assert not {"</details>", "<img", "@team", "[a]("} & {
        each for each in ("</details>", "<img", "@team", "[a](") if each in said
    }


def test_the_same_reports_give_the_same_comment(folder):
    assert render(folder) == render(folder)


def test_no_secret_of_any_report_is_in_the_comment(folder):
    secret = {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "valkey"},
        "stringData": {"password": CANARY}, "data": {"key": CANARY},
    }  # fmt: skip
    urn = "urn:pulumi:dev::bellwether::kubernetes:core/v1:Secret::valkey"
    kind = "kubernetes:core/v1:Secret"
    state = {"urn": urn, "type": kind, "inputs": secret, "outputs": secret}
    step = {"op": "update", "urn": urn, "oldState": state, "newState": state,
            "detailedDiff": {"stringData.password": {"kind": "update", "inputDiff": False}}}  # fmt: skip
    write(
        folder, "preview-dev", {"config": {"bellwether:valkey_password": CANARY}, "steps": [step]}
    )
    text = render(folder)
    assert CANARY not in text
    assert "`stringData.password`" in text
    assert "`Secret valkey` changes" in text


def test_a_file_that_is_no_report_is_named(tmp_path):
    (tmp_path / "load.json").write_text('{"holds": "perhaps"}')
    with pytest.raises(digest.ReportError, match=r"load\.json is no report of load: holds"):
        render(tmp_path)


def test_a_preview_that_is_none_is_named_with_the_command_that_makes_one(tmp_path):
    (tmp_path / "preview-dev.json").write_text("Previewing update (dev)")
    with pytest.raises(digest.ReportError, match="bellwether preview -s STACK --report FILE"):
        render(tmp_path)


def test_a_folder_that_is_none_is_said(tmp_path):
    with pytest.raises(digest.ReportError, match="is no folder"):
        render(tmp_path / "nowhere")
