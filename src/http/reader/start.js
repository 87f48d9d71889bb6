// Shows the document that the page links to. Calls go to where the page came from, whatever the document
// says, and nothing that is typed here outlives the page.
const { href } = document.querySelector('link[rel=service-desc]');
fetch(href).then((answer) => answer.json()).then((spec) => {
  spec.servers = [{ url: href.slice(0, href.lastIndexOf('/')) }];
  SwaggerUIBundle({
    spec,
    dom_id: '#calls',
    deepLinking: true,
    defaultModelsExpandDepth: 0,
    displayOperationId: true,
    persistAuthorization: false,
    queryConfigEnabled: false,
    validatorUrl: null,
  });
});
