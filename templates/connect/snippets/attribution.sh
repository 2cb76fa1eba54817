curl --fail-with-body {{ address }}/openai/v1/chat/completions \
  -H "Authorization: Bearer {{ key }}" \
  -H "Content-Type: application/json" \
  -H "X-Usage-Project: website" \
  -H "X-Usage-User: ada" \
  -H "X-Usage-Session: c-42" \
  -d '{
    "model": "{{ model }}",
    "messages": [{"role": "user", "content": "Name three rivers."}]
  }'
