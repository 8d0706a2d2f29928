import pytest
from pydantic import ValidationError

from flows.config import NOT_TRAINING_SETTINGS, TrainConfig
from tests.support.changed_values import changed_models


@pytest.mark.parametrize(
    "settings",
    [{"text": {"recipe": "blog"}}, {"preset": "blog", "classifier": {"linear": True}}],
)
def test_a_linear_model_of_texts_with_genres_is_refused(settings):
    """It would not be used: the setting would say what is not true."""
    with pytest.raises(ValidationError, match=r"set it to false \(--no-classifier\.linear\)"):
        TrainConfig.model_validate(settings)


def test_a_preset_fills_settings_that_are_not_explicit():
    config = TrainConfig.model_validate({"preset": "blog", "doc2vec": {"epochs": 3}})
    assert (config.doc2vec.epochs, config.doc2vec.restarts) == (3, 10)
    assert config.text.recipe == "blog"
    assert config.classifier.epochs == 50


def test_a_config_object_of_a_stage_overrides_only_the_fields_that_were_set():
    stage = type(TrainConfig().doc2vec)(epochs=3)
    config = TrainConfig(preset="blog", doc2vec=stage)
    assert (config.doc2vec.epochs, config.doc2vec.architecture) == (3, "dm")


def test_a_config_survives_a_round_trip_through_json():
    config = TrainConfig.model_validate({"preset": "blog", "deterministic": True})
    assert TrainConfig.model_validate(config.model_dump(mode="json")) == config


def test_the_blog_threshold_is_a_tenth_on_the_logits():
    threshold = TrainConfig(preset="blog").classifier.threshold
    assert threshold == pytest.approx(1 / (1 + 2.718281828**-0.1), abs=1e-5)


@pytest.mark.parametrize(
    ("settings", "protocol"),
    [
        ({}, "held-out"),
        ({"preset": "blog"}, "blog"),
        ({"text": {"recipe": "blog"}, "classifier": {"linear": False}}, "blog"),
        ({"doc2vec": {"transductive": True, "features": "inferred"}}, "blog"),
        (
            {"preset": "blog", "text": {"recipe": "content"}, "doc2vec": {"transductive": False}},
            "held-out",
        ),
    ],
)
def test_the_protocol_depends_on_leaking_settings_and_not_on_the_preset(settings, protocol):
    assert TrainConfig.model_validate(settings).protocol == protocol


def test_deterministic_runs_use_one_thread_and_the_cpu():
    config = TrainConfig(deterministic=True)
    assert config.doc2vec.workers == 1
    assert config.classifier.device == "cpu"


def test_values_out_of_bounds_are_refused():
    with pytest.raises(ValidationError, match="epochs"):
        TrainConfig.model_validate({"doc2vec": {"epochs": 0}})


def test_a_run_is_named_by_its_source():
    assert TrainConfig.model_validate({"source": "some/movies_metadata.csv"}).source_name == (
        "movies_metadata"
    )
    assert TrainConfig(source=["a.csv", "x=b.csv"]).source_name == "a+x"


def test_every_setting_of_a_stage_is_a_training_setting():
    """Those of where, when and how a run is done are not: a changed one trains nothing new."""
    config = TrainConfig()
    assert {
        path.split(".")[0]
        for path, changed in changed_models(config)
        if changed.training_settings == config.training_settings
    } == NOT_TRAINING_SETTINGS
    assert set(config.training_settings) == {
        *("source", "preset", "deterministic", "ingest", "text", "doc2vec", "label"),
        *("classifier", "baseline", "rank", "index", "drift"),
    }


@pytest.mark.parametrize(
    ("settings", "fine_tunes"),
    [
        ({}, True),
        ({"classifier": {"fine_tune": False}}, False),
        ({"doc2vec": {"features": "both"}}, False),
        ({"doc2vec": {"features": "inferred"}}, False),
        ({"preset": "blog"}, False),
        ({"preset": "blog-tuned"}, False),
    ],
)
def test_word_vectors_are_fine_tuned_where_vectors_are_pooled(settings, fine_tunes):
    assert TrainConfig(**settings).fine_tunes_words == fine_tunes
