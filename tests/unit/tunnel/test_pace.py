"""How much of bodies goes into one message: what the line takes in ten milliseconds."""

from tunnel.frames import KIB, MAX_MESSAGE
from tunnel.pace import LEAST, Pace


def drive(pace, rate, messages, buffer=64 * KIB, now=100.0):
    """Send messages as large as allowed over a buffer that empties at `rate` bytes/s, as a transport does."""
    level = 0.0
    for _ in range(messages):
        level += pace.limit
        began = now
        if level > buffer:
            now += (level - buffer / 4) / rate
            level = buffer / 4
        pace.sent(pace.limit, began, now)
    return now


def test_it_begins_with_as_much_as_a_message_may_hold():
    assert Pace().limit == MAX_MESSAGE


def test_ten_megabits_get_the_smallest_messages():
    pace = Pace()
    drive(pace, 1_250_000, 30)
    assert pace.limit == LEAST


def test_a_message_takes_about_ten_milliseconds_of_the_line():
    pace = Pace()
    drive(pace, 8_000_000, 200)
    assert 70_000 < pace.limit < 90_000


def test_a_fast_line_keeps_the_largest_messages():
    pace = Pace()
    drive(pace, 200_000_000, 100)
    assert pace.limit == MAX_MESSAGE


def test_a_line_that_turns_fast_gets_large_messages_again():
    pace = Pace()
    now = drive(pace, 1_250_000, 30)
    for _ in range(20):
        pace.sent(pace.limit, now, now)
    assert pace.limit == MAX_MESSAGE


def test_messages_that_fit_the_buffer_say_nothing_of_the_line():
    pace = Pace()
    now = drive(pace, 1_250_000, 30)
    pace.sent(LEAST, now, now)
    assert pace.limit == LEAST


def test_time_without_anything_to_send_is_not_the_lines():
    pace = Pace()
    pace.sent(MAX_MESSAGE, 0.0, 0.005)
    pace.rest()
    pace.sent(MAX_MESSAGE, 60.0, 60.005)
    assert pace.limit == MAX_MESSAGE
