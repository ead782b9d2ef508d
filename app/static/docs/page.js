SwaggerUIBundle({
  url: '/docs/openapi.json',
  dom_id: '#swagger-ui',
  deepLinking: true,
  // Left to itself the page sends the description to a validator on another host.
  validatorUrl: null,
  // A bearer token must not outlive the page.
  persistAuthorization: false,
});
