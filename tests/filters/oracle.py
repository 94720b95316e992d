"""What a filter means, said once more in plain Python, without keys: values of metadata against values of filters."""

from datetime import UTC, date, datetime, timedelta

from llmapp.filters import And, Compare, Exists, Not, OneOf, Or


def satisfies(where, metadata):
    match where:
        case And():
            return all(satisfies(part, metadata) for part in where.parts)
        case Or():
            return any(satisfies(part, metadata) for part in where.parts)
        case Not():
            return not satisfies(where.part, metadata)
        case Exists():
            return exists(metadata, where.field.split("."))
        case OneOf():
            return any(equal(value, wanted) for value in values_of(metadata, where.field) for wanted in where.values)
        case Compare():
            return any(ordered(value, where.operator, where.value) for value in values_of(metadata, where.field))


def exists(value, path):
    """Whether something is there, followed name by name: any number, text, true or false, or an object or list that holds one."""
    if isinstance(value, list):
        return any(exists(inner, path) for inner in value)
    if isinstance(value, dict):
        inner = [value[path[0]]] if path and path[0] in value else value.values() if not path else ()
        return any(exists(one, path[1:]) for one in inner)
    return not path and value is not None


def values_of(metadata, field):
    found = []

    def walk(name, value):
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(f"{name}.{key}", inner)
        elif isinstance(value, list):
            for inner in value:
                walk(name, inner)
        elif value is not None and name == field:
            found.append(value)

    for name, value in metadata.items():
        walk(name, value)
    return found


def equal(value, wanted):
    if isinstance(wanted, bool) or isinstance(value, bool):
        return value is wanted
    if isinstance(wanted, date):
        moment = as_instant(value)
        first, last = day_of(wanted)
        return moment is not None and first <= moment <= last
    return isinstance(value, str) == isinstance(wanted, str) and value == wanted


def ordered(value, operator, bound):
    if isinstance(bound, date):
        value, (first, last) = as_instant(value), day_of(bound)
    else:
        value, (first, last) = None if isinstance(value, bool | str) else value, (bound, bound)
    if value is None:
        return False
    return {"<": value < first, "<=": value <= last, ">": value > last, ">=": value >= first}[operator]


def day_of(wanted):
    if isinstance(wanted, datetime):
        instant = wanted.replace(tzinfo=UTC) if wanted.tzinfo is None else wanted
        return instant, instant
    first = datetime(wanted.year, wanted.month, wanted.day, tzinfo=UTC)
    return first, first + (timedelta(days=1) - timedelta(microseconds=1))


def as_instant(value):
    """Texts of metadata in these tests are ISO times wherever Python and the documented form agree that they are."""
    if not isinstance(value, str) or len(value) < 10 or value[4] != "-" or value[7] != "-":
        return None
    try:
        read = datetime.fromisoformat(value)
    except ValueError:
        return None
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read
