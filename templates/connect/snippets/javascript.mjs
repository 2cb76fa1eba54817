// npm install groq-sdk
import Groq from "groq-sdk";

const client = new Groq({
  baseURL: "{{ address }}",
  apiKey: "{{ key }}",
});
const answer = await client.chat.completions.create({
  model: "{{ model }}",
  messages: [{ role: "user", content: "Name three rivers." }],
});
console.log(answer.choices[0].message.content);
