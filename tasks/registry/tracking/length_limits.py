"""Long texts -> texts that fit MLflow's length limits."""

DATASET_NAME_LENGTH, PARAM_LENGTH, TAG_LENGTH = 500, 6000, 8000  # characters


def shorten(text: str, length: int) -> str:
    """A text of at most `length` characters; the middle of a longer text is replaced by …."""
    if len(text) <= length:
        return text
    head = (length - 3) // 2
    return f"{text[:head]} … {text[-(length - head - 3) :]}"
