import pyarrow as pa

from tasks.core.documents import to_document
from tasks.reports.drawing import document_lengths


def test_the_words_of_a_title_count_once():
    documents = [to_document(["haunt", "ship", "storm"], ["haunted", "ship"]), to_document([], [])]
    chunks = [pa.table({"document": [document]}) for document in documents]
    assert document_lengths(chunks) == [3, 0]
