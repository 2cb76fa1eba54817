// npm install openai
import OpenAI from "openai";

const client = new OpenAI({
  baseURL: "{{ address }}/openai/v1",
  apiKey: "{{ key }}",
});
const answer = await client.chat.completions.create({
  model: "{{ model }}",
  messages: [{ role: "user", content: "Name three rivers." }],
});
console.log(answer.choices[0].message.content);
