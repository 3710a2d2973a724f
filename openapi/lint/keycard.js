// What Redocly's comparison of two documents (2.77) does not know of this contract.

/**
 * For the comparison, the roles and the fresh token that an operation demands stand among the scopes of its security schemes,
 * where the rule `security-requirement-changed` sees them.
 */
function DemandsAsScopes() {
  return {
    Operation(operation) {
      const demands = (operation["x-required-roles"] ?? []).map((role) => `role ${role}`);
      if (operation["x-fresh-token"]) demands.push("a fresh token");
      for (const scopes of (operation.security ?? []).flatMap(Object.values)) scopes.push(...demands);
    },
  };
}

/** An operation that took no body insists on one. */
function RequestBodyAdded() {
  return {
    RequestBody({ kind, revision }, { report }) {
      if (kind === "added" && revision.value.required) report({ message: "A required request body was added." });
    },
  };
}

/** A header that every answer had may be missing. */
function ResponseHeaderBecameOptional() {
  return {
    Header({ kind, property, base }, { report }) {
      if (kind === "modified" && property === "required" && base.value) report({ message: "The header became optional." });
    },
  };
}

/** A body that was described can be anything. */
function BodySchemaRemoved() {
  return {
    MediaType: {
      Schema({ kind }, { report }) {
        if (kind === "removed") report({ message: "The schema of the body was removed." });
      },
    },
  };
}

export default function keycard() {
  return {
    id: "keycard",
    decorators: { oas3: { "demands-as-scopes": DemandsAsScopes } },
    diff: {
      oas3: {
        "request-body-added": RequestBodyAdded,
        "response-header-became-optional": ResponseHeaderBecameOptional,
        "body-schema-removed": BodySchemaRemoved,
      },
    },
  };
}
