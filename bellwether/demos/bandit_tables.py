"""What the bandit's demo shows: a table that changes, a line where no terminal is, the result."""

import numpy as np
import rich.console

from . import command, earning, epochs, judging, outcomes, walks

Array = outcomes.Array


def _shares(walk: earning.Walk, told: epochs.Epochs) -> Array:
    known = told.known
    return known[-1].shares if known else walk.fixed


def live(walk: earning.Walk, told: epochs.Epochs) -> rich.console.RenderableType:
    """Make the table of the arms as they stand."""
    shares, counts, known = _shares(walk, told), walk.answers(), told.known
    belief = told.beliefs[-1] if told.beliefs else None
    worth = walk.worth[: walk.done]
    rows = [
        (
            walks.short(arm),
            f"{walk.fixed[place]:.0%}",
            f"{shares[place]:.1%}",
            bar(float(shares[place])),
            str(counts[place]),
            "" if belief is None else _posterior(belief, place),
            f"{worth[:, place].mean():.2%}",
        )
        for place, arm in enumerate(walk.arms)
    ]
    table = command.table(
        ("arm", "fixed", "share", "", "answers", "posterior", "worth alone"),
        rows,
        title=f"{walk.today}, epoch {len(known)}, {walk.asked} requests, "
        f"{walk.acknowledged} rewards, {told.learnt} learnt",
    )
    return rich.console.Group(table, f"{regret(walk)} (below 0: it earned more)")


def line(walk: earning.Walk, told: epochs.Epochs) -> str:
    """Say in one line how it stands."""
    shares = _shares(walk, told)
    split = ", ".join(
        f"{walks.short(arm)} {share:.0%}" for arm, share in zip(walk.arms, shares, strict=True)
    )
    return (
        f"{walk.today} epoch {len(told.known)}: {split}; {told.learnt} rewards learnt; "
        f"{regret(walk)}"
    )


def regret(walk: earning.Walk) -> str:
    """Say what the fixed split would have earned more, so far."""
    lost = walk.fixed_earned - walk.earned
    return (
        f"regret against the fixed split {lost.mean() * 1e4:+.1f} hundredths of a per cent a row, "
        f"{lost.sum():+.2f} in all"
    )


def bar(share: float, width: int = 20) -> str:
    """Draw a share."""
    return "█" * round(share * width)


def _posterior(belief: epochs.Belief, place: int) -> str:
    if not np.isfinite(belief.mean[place]):
        return "not yet"
    return f"{belief.mean[place]:.2%} ± {belief.sd[place]:.2%}"


def earned(result: judging.Result) -> rich.console.RenderableType:
    """Make the table of what was earned."""
    walk = result.walk
    last = dict(zip(map(walks.short, walk.arms), _shares(walk, result.told), strict=True))
    fixed = dict(zip(map(walks.short, walk.arms), walk.fixed, strict=True))
    rows = []
    for name, each in result.gains.earned.items():
        over = result.gains.over.get(name)
        rows.append(
            (
                f"{name} (best single)" if name == result.best else name,
                f"{fixed[name]:.0%}" if name in fixed else "",
                f"{last[name]:.1%}" if name in last else "",
                f"{each.value:.3%}",
                "" if over is None else judging.points(over),
            )
        )
    return command.table(
        (
            "who answers",
            "fixed",
            "share at the end",
            "utility a year",
            "learnt split's gain over it",
        ),
        rows,
        title="what was earned"
        + (" (made up)" if result.origin is outcomes.Origin.SYNTHETIC else ""),
    )
