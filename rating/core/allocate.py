"""A whole amount in parts that add up to it: largest remainder."""

from collections.abc import Sequence


def allocate(whole: int, weights: Sequence[int]) -> tuple[int, ...]:
    """`whole` spread by weights that are not negative: 100 over 7, 11, 13 is 23, 35, 42."""
    together = sum(weights)
    if whole == 0 or together == 0:
        if whole:
            raise ValueError(f"{whole} cannot be spread over lines that weigh nothing")
        return (0,) * len(weights)
    return settled(whole, [whole * weight for weight in weights], together)


def settled(whole: int, numerators: Sequence[int], denominator: int) -> tuple[int, ...]:
    """Exact shares (`numerator ÷ denominator`, of either sign) rounded so that they add up to `whole`.

    Each gets its floor; the units left over go one by one to the largest remainders, ties by place. `whole` must be
    one of the two whole numbers around the exact sum.
    """
    shares = [numerator // denominator for numerator in numerators]
    by_remainder = sorted(range(len(shares)), key=lambda place: -(numerators[place] % denominator))
    for place in by_remainder[: whole - sum(shares)]:
        shares[place] += 1
    return tuple(shares)
