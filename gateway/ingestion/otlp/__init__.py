"""OTLP over HTTP: ``messages`` reads and writes its protobuf and JSON, ``conventions`` makes events of spans and log
records, and ``views`` answers as the protocol says."""
