"""What is known of a message goes forward only."""

import itertools

from proxy.messaging.statuses import State, rank, settled


def test_states_never_go_backwards() -> None:
    order = [State.SENT, State.FAILED, State.DELIVERED, State.READ, State.PLAYED]
    assert set(order) == set(State)
    assert all(rank(lower) < rank(higher) for lower, higher in itertools.pairwise(order))


def test_only_sent_leaves_the_arrival_open() -> None:
    assert [state for state in State if not settled(state)] == [State.SENT]
