// A program that says neither address nor key: its clients find them in the environment.
import Groq from "groq-sdk";
import OpenAI from "openai";

for (const client of [new Groq(), new OpenAI()]) {
  const messages = [{ role: "user", content: "Name three rivers." }];
  await client.chat.completions.create({ model: "openai/gpt-oss-20b", messages });
}
