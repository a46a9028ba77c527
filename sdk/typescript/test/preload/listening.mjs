// Says on stdout when a server listens.
import { Server } from "node:net";

const { listen } = Server.prototype;

Server.prototype.listen = function (...args) {
  this.once("listening", () => console.log("listening"));
  return listen.apply(this, args);
};
