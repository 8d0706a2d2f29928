from tasks.core.orchestration.look_ups import record_look_up, recorded_look_ups


def test_look_ups_of_a_block_are_recorded_and_those_around_it_are_not():
    record_look_up(True)
    with recorded_look_ups() as look_ups:
        record_look_up(True)
        record_look_up(False)
    record_look_up(True)
    assert look_ups == [True, False]


def test_a_block_in_a_block_has_its_own():
    with recorded_look_ups() as outer, recorded_look_ups() as inner:
        record_look_up(False)
    assert (outer, inner) == ([], [False])
