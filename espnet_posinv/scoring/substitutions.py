"""The commonest substitutions of a recogniser: what is a spelling and no error of hearing shows there."""

from collections import Counter
from collections.abc import Iterable


def commonest_substitutions(pairs: Iterable[tuple[str, str]], most: int = 10) -> list[dict]:
    """Words of the references and what stands for them in the hypotheses, the most frequent first.

    Neighbouring errors of an alignment count as one, so that "one fifty" against "150" is found as such. What
    occurs once is left out.

    Args:
        pairs: reference and hypothesis, words between blanks.
        most: how many at most.

    Returns:
        ``[{"ref", "hyp", "times"}]``.

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
        said: list[str] = []
        heard: list[str] = []
        for chunk in [*chunks, None]:
            if chunk is None or chunk.type == "equal":
                if said and heard:
                    found[" ".join(said), " ".join(heard)] += 1
                said, heard = [], []
                continue
            said += ref[chunk.ref_start_idx : chunk.ref_end_idx]
            heard += hyp[chunk.hyp_start_idx : chunk.hyp_end_idx]
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return [{"ref": ref, "hyp": hyp, "times": n} for (ref, hyp), n in ordered[:most] if n > 1]
