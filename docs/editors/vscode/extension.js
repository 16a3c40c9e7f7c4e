// Starts `espalier lsp` for .gen files.
const { workspace } = require('vscode');
const { LanguageClient } = require('vscode-languageclient/node');

let client;

exports.activate = () => {
  const command = workspace.getConfiguration('espalier').get('path');
  const watcher = workspace.createFileSystemWatcher('**/{*.gen,mcp.json,tools.lock}');
  client = new LanguageClient(
    'espalier',
    'Espalier',
    { command, args: ['lsp'] },
    { documentSelector: [{ language: 'gen' }], synchronize: { fileEvents: watcher } }
  );
  return client.start();
};

exports.deactivate = () => client?.stop();
