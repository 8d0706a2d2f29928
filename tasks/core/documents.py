"""A movie's document, one line of text: the tokens of its content, a tab, the words of its title.

Models of the content read the tokens, in which the title's words are among those of the overview.
The linear model reads the title's words once more, as terms of their own.
"""

from collections.abc import Sequence

SEPARATOR = "\t"


def to_document(tokens: Sequence[str], title_words: Sequence[str]) -> str:
    """The document of these tokens and words, none of which contains white space."""
    content = " ".join(tokens)
    return f"{content}{SEPARATOR}{' '.join(title_words)}" if title_words else content


def content_of(document: str) -> str:
    """The tokens of a document's content, separated by spaces."""
    return document.partition(SEPARATOR)[0]


def tokens_of(document: str) -> list[str]:
    """Tokens of a document's content."""
    return content_of(document).split()


def title_words_of(document: str) -> list[str]:
    """Words of a document's title, with stop words; none of a text without a title."""
    return document.partition(SEPARATOR)[2].split()
