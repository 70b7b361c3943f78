"""The fields a filter can name: the user's own are in the index's mapping, typed by their first value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import elasticsearch

from lookalike.errors import UsageError
from lookalike.stores import records as record_rules
from lookalike.stores.elasticsearch import indices, layout
from lookalike.types import BUILT_IN_FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from lookalike.stores.elasticsearch.indices import Index
    from lookalike.stores.elasticsearch.server import Server
    from lookalike.types import Value, Where


class Fields:
    """The fields of a gallery; a type once given stays, so that what was read once is remembered.

    Args:
        server: where.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._known: tuple[str, dict[str, str]] = ("", {})
        self._foreign: AbstractSet[str] = frozenset()

    def now(self, index: Index) -> dict[str, str]:
        """The fields with their types, as the server has them now."""
        found = indices.field_types(self._server, index)
        types = {name: type_ for name, type_ in found.items() if type_}
        self._foreign = found.keys() - types.keys()
        self._known = (index.alias, types)
        return BUILT_IN_FIELDS | types

    def of(self, index: Index, where: Where) -> dict[str, str]:
        """The fields with their types; asked for anew only where a condition names one that is not known."""
        known = self.remembered(index)
        return known if all(condition.field in known for condition in where) else self.now(index)

    def learn(self, index: Index, metadata: Iterable[Mapping[str, Value]]) -> None:
        """Fix the types of new fields by their first value, and hold every value to its field's type.

        Raises:
            UsageError: a value does not fit, or there are too many fields.
        """
        facts = list(metadata)
        if not record_rules.new_fields(self.remembered(index), facts):
            return
        # Another process may have given them a type meanwhile, and may do so yet.
        while new := record_rules.new_fields(known := self.now(index), facts):
            if foreign := [name for name in new if name in self._foreign]:
                raise UsageError(
                    f"the field {foreign[0]!r} has a type in the index that lookalike never gives; "
                    "rename the column"
                )
            if len(known) + len(new) > layout.MOST_FIELDS:
                raise UsageError(
                    f"the metadata would give the gallery {len(known) + len(new):,} fields; Elasticsearch "
                    f"keeps at most {layout.MOST_FIELDS:,}: put what they hold into fewer"
                )
            self.define(index, new)

    def unknown(self, index: Index, types: Mapping[str, str]) -> dict[str, str]:
        """Those of some fields that have no type yet."""
        known = self.now(index).keys() | self._foreign
        return {name: type_ for name, type_ in types.items() if name not in known}

    def define(self, index: Index, types: Mapping[str, str]) -> None:
        """Make fields of these types, unless there are any of that name."""
        properties: dict[str, Any] = {"metadata": {"properties": layout.field_mappings(types)}}

        def put(es: elasticsearch.Elasticsearch) -> Any:
            try:
                return es.indices.put_mapping(index=index.alias, properties=properties)
            except elasticsearch.BadRequestError as error:
                if "cannot be changed from type" not in str(error):
                    raise
                return es.indices.exists(index=index.alias)  # as it is it is seen at the next look

        self._server.call(put)

    def remembered(self, index: Index) -> dict[str, str]:
        """The fields with their types as they were seen last; a type once given stays."""
        name, types = self._known
        return BUILT_IN_FIELDS | types if name == index.alias else self.now(index)
