// Preloaded into kinesis-local (node --require): it has no setting for the address it listens on.
const { Server } = require('node:net')
const listen = Server.prototype.listen
Server.prototype.listen = function (first, ...rest) {
  if (first !== null && typeof first === 'object' && 'port' in first) {
    return listen.call(this, { ...first, host: '127.0.0.1' }, ...rest)
  }
  const callback = rest.find((argument) => typeof argument === 'function')
  return listen.call(this, { port: Number(first), host: '127.0.0.1' }, callback)
}
