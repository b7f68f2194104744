"""A whole amount in parts that add up to it: largest remainder."""

from collections.abc import Sequence


def allocate(whole: int, weights: Sequence[int]) -> tuple[int, ...]:
    """`whole` spread by weights that are not negative: 100 over 7, 11, 13 is 23, 35, 42."""
    together = sum(weights)
    if whole == 0 or together == 0:
        if whole:
            raise ValueError(f"{whole} cannot be spread over lines that weigh nothing")
        return (0,) * len(weights)
    return largest_remainder(whole, [whole * weight for weight in weights], together)


def largest_remainder(whole: int, numerators: Sequence[int], denominator: int) -> tuple[int, ...]:
    """Exact shares (`numerator ÷ denominator`, of either sign) rounded so that they add up to `whole`.

    Each gets its floor; the units left over go one by one to the largest remainders, ties by place. `whole` must be
    one of the two whole numbers around the exact sum: no share then moves by a unit or more.
    """
    shares = [numerator // denominator for numerator in numerators]
    remainders = [numerator % denominator for numerator in numerators]
    left = whole - sum(shares)
    if not 0 <= left <= sum(remainder > 0 for remainder in remainders):
        raise ValueError(f"shares of {sum(numerators)}/{denominator} cannot add up to {whole}")
    for place in sorted(range(len(shares)), key=lambda place: -remainders[place])[:left]:
        shares[place] += 1
    return tuple(shares)
