from flows.cli.subcommands.recommend import show


def test_square_brackets_and_colons_in_titles_are_text(capsys):
    movie = {"title": "[bold]", "year": 2007, "genres": ["[rec]", ":smile:"], "score": 0.5}
    show("[rec] (2007)", [movie], "table")
    printed = capsys.readouterr().out
    for text in ("[bold]", "[rec]", ":smile:", "Movies like [rec] (2007)"):
        assert text in printed
