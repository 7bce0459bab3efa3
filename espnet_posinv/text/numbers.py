"""Numbers in words, for all languages of num2words and indic-numtowords.

Equal numbers in digits and in words become the same words: digits are read out, text2num (French, German,
Spanish, Portuguese, Italian, Dutch) finds the numbers in all words, and these are read out again. So
"tausend", "eintausend" and "1.000" become the same.
"""

import functools

import regex
from babel import UnknownLocaleError
from babel.numbers import get_decimal_symbol, get_group_symbol
from num2words import CONVERTER_CLASSES, num2words

WORDS_TO_DIGITS = ("de", "es", "fr", "it", "nl", "pt")
# num2words reads their decimals wrongly (3.5 as "three fifty") or drops zeros: point word, then single digits
POINT = {"ar": "فاصلة", "bn": "দশমিক", "tr": "virgül", "vi": "phẩy"}
OTHER_CODES = {"kk": "kz", "nb": "no", "nn": "no"}  # num2words' names of languages
LONGEST = 15  # digits of a number; longer ones are read digit by digit


def unify(text: str, language: str) -> str:
    """Normalise numbers in digits and in words to the same words; digits stay if no package has the language.

    Args:
        text: in lower case, with its punctuation, digits 0 to 9 (:func:`~.letters.clean`).
        language: two-letter code.
    """
    text = read_out(text, language)
    if language in WORDS_TO_DIGITS:
        from text_to_num import alpha2digit

        text = text.replace("veintiún ", "veintiuno ")  # unknown to it
        text = read_out(alpha2digit(text, language), language)
        # It leaves "eine" before 1000000, which is read "eine million"
        return regex.sub(r"\b(\p{L}+) +(?=\1 mil)", "", text)
    one, _, thousand = (_say(1000, language) or "").partition(" ")
    # "One thousand" or "thousand"
    return regex.sub(rf"\b{one} (?={thousand}\b)", "", text) if thousand else text


def can_read(language: str) -> bool:
    """Whether numbers of this language can be read out."""
    return _say(5, language) is not None


def read_out(text: str, language: str) -> str:
    """Replace digits by words; arguments as in :func:`unify`."""
    if not regex.search(r"\d", text) or not can_read(language):
        return text
    decimal, group = _symbols(language)
    mark = regex.escape(group)
    pairs = r"(?:,\d\d)*" if group == "," else ""  # 1,00,000 in India
    grouped = rf"(?<![\d.,])\d{{1,3}}{pairs}(?:{mark}\d{{3}})+(?!\d|{mark}\d)"
    text = regex.sub(grouped, lambda match: match[0].replace(group, ""), text)
    number = rf"(?<![\d.,])(?P<whole>\d+)(?:[{regex.escape(decimal)}.](?P<fraction>\d+)(?![.,]\d))?"
    return regex.sub(number + r"|\d+", lambda match: f" {_read(match, language)} ", text)


def _read(match: regex.Match, language: str) -> str:
    whole, fraction = match["whole"] or match[0], match["fraction"]
    said = None
    if fraction and language not in POINT and len(whole + fraction) <= LONGEST:
        said = _say(float(f"{whole}.{fraction}"), language)
    if said:
        return said
    if len(whole) <= LONGEST and not (whole[0] == "0" and len(whole) > 1):
        said = _say(int(whole), language)
    said = said or " ".join(_say(int(digit), language) for digit in whole)
    if not fraction:
        return said
    point = POINT.get(language) or getattr(CONVERTER_CLASSES.get(language), "pointword", "")
    return " ".join([said, str(point), *(_say(int(digit), language) for digit in fraction)])


@functools.lru_cache(maxsize=10000)
def _say(number: int | float, language: str) -> str | None:
    """A number in words; None if no package can say it."""
    try:
        if language == "am" and number > 999:  # num2words may not come to an end
            return None
        return num2words(number, lang=OTHER_CODES.get(language, language)).lower()
    except (NotImplementedError, LookupError, OverflowError):
        pass
    from indic_numtowords import num2words as indic
    from indic_numtowords import supported_langs

    if language not in supported_langs or isinstance(number, float):
        return None
    try:
        return str(indic(number, lang=language))
    except TypeError:  # too large for it
        return None


def _symbols(language: str) -> tuple[str, str]:
    """Decimal and group symbol (CLDR); blanks as group symbols become plain ones, as by NFKC."""
    try:
        group = get_group_symbol(language)
    except UnknownLocaleError:
        return ".", ","
    return get_decimal_symbol(language), " " if group.isspace() else group
