//! What derived code calls: small functions, so that the derive emits facts and no behaviour.
