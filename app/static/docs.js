// Swagger UI on this server's own description of its API; nothing is loaded from other hosts.

const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#api",
  defaultModelRendering: "model", // it has the descriptions of the fields
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
});
