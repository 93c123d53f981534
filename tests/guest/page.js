const show = async () => {
  const text = await (await fetch("/messages", { cache: "no-store" })).text();
  document.getElementById("messages").replaceChildren(...text.split("\n").filter(Boolean).map((line) => {
    const item = document.createElement("li");
    item.textContent = line;
    return item;
  }));
};
setInterval(show, 300);
show();
document.getElementById("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const field = document.getElementById("text");
  await fetch("/say", { method: "POST", body: field.value });
  field.value = "";
  await show();
});
window.addEventListener("message", (event) => {
  document.getElementById("reply").textContent = JSON.stringify(event.data);
});
