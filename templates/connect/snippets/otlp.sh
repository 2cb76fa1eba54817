# A program with an instrumentation of OpenTelemetry needs only these two:
export OTEL_EXPORTER_OTLP_ENDPOINT="{{ address }}/otlp"
export OTEL_EXPORTER_OTLP_HEADERS="Authorization=Bearer%20{{ key }}"

# To try it, the span of one call:
trace=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
span=$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')
now=$(date +%s)
curl --fail-with-body "$OTEL_EXPORTER_OTLP_ENDPOINT/v1/traces" \
  -H "Authorization: Bearer {{ key }}" \
  -H "Content-Type: application/json" \
  -d '{"resourceSpans": [{"scopeSpans": [{"spans": [{
    "traceId": "'"$trace"'", "spanId": "'"$span"'", "name": "chat {{ model }}",
    "startTimeUnixNano": "'"$now"'000000000", "endTimeUnixNano": "'"$now"'250000000",
    "attributes": [
      {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
      {"key": "gen_ai.provider.name", "value": {"stringValue": "groq"}},
      {"key": "gen_ai.request.model", "value": {"stringValue": "{{ model }}"}},
      {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "100"}},
      {"key": "gen_ai.usage.output_tokens", "value": {"intValue": "20"}}
    ]}]}]}]}'
