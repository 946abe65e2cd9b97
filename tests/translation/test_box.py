import json

from hypothesis import given
from hypothesis import strategies as st

from tuneport.translation.box import apply, boxed, difference, leaves

KEYS = st.sampled_from(["a", "b", "Name", "$was", "$is", "$$x", "[0]", "~/"])
SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([1.0, 0.0, "", "a", "1"])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)
ITEMS = st.lists(st.fixed_dictionaries({"Name": st.sampled_from("abcd"), "v": SCALARS}), max_size=4)
DOCUMENTS = st.dictionaries(KEYS, VALUES | ITEMS, max_size=4)


def text(document):
    """Exact spelling: 1, 1.0 and true are three things."""
    return json.dumps(document, sort_keys=True)


@given(DOCUMENTS, DOCUMENTS)
def test_a_box_makes_one_document_of_another(before, after):
    made, stale = apply(difference(before, after), before)
    assert (text(made), stale) == (text(after), [])


@given(DOCUMENTS)
def test_equal_documents_have_an_empty_box(document):
    assert difference(document, document) == {}


@given(DOCUMENTS, DOCUMENTS, DOCUMENTS)
def test_a_box_never_overrules_what_an_edited_document_says(before, after, edited):
    made, _ = apply(difference(before, after), edited)
    for key, value in edited.items():
        if key not in before and key not in after:
            assert text(made[key]) == text(value)


def test_what_was_edited_since_is_kept_and_told():
    box = difference({"low": "1e-05", "n": 1}, {"low": "0.00001", "n": 1, "extra": True})
    assert apply(box, {"low": "0.5", "n": 1}) == ({"low": "0.5", "n": 1, "extra": True}, ["/low"])
    assert apply({"n": 3}, {"n": 1}) == ({"n": 1}, ["/n"])


def test_items_are_found_by_name_wherever_they_are():
    box = difference({"r": [{"Name": "a"}, {"Name": "b"}]}, {"r": [{"Name": "a"}, {"Name": "b", "x": 1}]})
    assert box == {"r": {"[b]": {"x": 1}}}
    assert apply(box, {"r": [{"Name": "b"}, {"Name": "c"}]}) == ({"r": [{"Name": "b", "x": 1}, {"Name": "c"}]}, [])


def test_what_an_item_lacked_is_not_made_an_item_of_its_own():
    box = {"r": {"[b]": {"x": 1}}}
    assert apply(box, {"r": [{"Name": "a"}]}) == ({"r": [{"Name": "a"}]}, ["/r/[b]"])


def test_new_items_come_back():
    box = difference({"r": [{"Name": "a"}]}, {"r": [{"Name": "a"}, {"Name": "b", "v": 1}]})
    assert apply(box, {"r": [{"Name": "a"}]})[0] == {"r": [{"Name": "a"}, {"Name": "b", "v": 1}]}
    assert boxed(box) == ["/r/[b]/Name", "/r/[b]/v"]


def test_a_box_written_by_hand_is_merged_item_by_item():
    box = {"pools": [{"disk": {"type": "pd-standard"}}], "network": {"name": "n"}}
    document = {"pools": [{"disk": {"size": 100}}, {}]}
    merged = {"pools": [{"disk": {"size": 100, "type": "pd-standard"}}, {}], "network": {"name": "n"}}
    assert apply(box, document) == (merged, [])


def test_the_arguments_are_not_changed():
    before, after = {"a": {"b": [1]}}, {"a": {"b": [1, 2], "c": {}}}
    box = difference(before, after)
    saved = text([before, box])
    apply(box, before)[0]["a"]["b"].append(3)
    assert text([before, box]) == saved


@given(DOCUMENTS)
def test_leaves_are_everything(document):
    assert len(list(leaves(document))) == len(list(leaves(json.loads(json.dumps(document)))))
    for path, value in leaves(document):
        here = document
        for part in path:
            here = here[part]
        assert here is value
