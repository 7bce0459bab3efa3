"""The most frequent substitutions of a recogniser, among which differences of spelling show."""

from collections import Counter
from collections.abc import Iterable


def commonest_substitutions(pairs: Iterable[tuple[str, str]], most: int = 10) -> list[dict]:
    """Substituted words of the references with their hypotheses, the most frequent first.

    Adjacent errors of an alignment count as one, so that "one fifty" for "150" is one substitution.
    Substitutions that occur once are left out.

    Example:
        >>> commonest_substitutions([("one fifty now", "150 now"), ("say one fifty", "say 150")])
        [{'ref': 'one fifty', 'hyp': '150', 'times': 2}]
    """
    import jiwer

    found: Counter[tuple[str, str]] = Counter()
    pairs = [(ref, hyp) for ref, hyp in pairs if ref.split()]  # jiwer refuses empty references
    if not pairs:
        return []
    out = jiwer.process_words([ref for ref, _ in pairs], [hyp for _, hyp in pairs])
    for ref, hyp, chunks in zip(out.references, out.hypotheses, out.alignments, strict=True):
        spoken: list[str] = []
        recognised: list[str] = []
        for chunk in [*chunks, None]:
            if chunk is None or chunk.type == "equal":
                if spoken and recognised:
                    found[" ".join(spoken), " ".join(recognised)] += 1
                spoken, recognised = [], []
                continue
            spoken += ref[chunk.ref_start_idx : chunk.ref_end_idx]
            recognised += hyp[chunk.hyp_start_idx : chunk.hyp_end_idx]
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return [{"ref": ref, "hyp": hyp, "times": n} for (ref, hyp), n in ordered[:most] if n > 1]
