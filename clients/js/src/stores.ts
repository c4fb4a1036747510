/** Where a client's state may be kept: the tab's session, or the browser's database. Each keeps text under keys, and knows nothing of it. */

/** Write your own for other places. What throws or rejects is told, and the client goes on without it. */
export interface Store {
  read(key: string): Promise<string | null> | string | null;
  /** Replace what is there. Not called again before the promise is settled. */
  write(key: string, text: string): Promise<void> | void;
  remove(key: string): Promise<void> | void;
  /** All keys, where tabs share the store: then what a closed tab has left is taken up by another one. */
  keys?(): Promise<string[]>;
}

/** The tab's sessionStorage: survives a reload, and ends with the tab. */
export function sessionStore(area: Storage = sessionStorage): Store {
  return {
    read: (key) => area.getItem(key),
    write: (key, text) => area.setItem(key, text),
    remove: (key) => area.removeItem(key),
  };
}

/** IndexedDB: survives the browser's end too, and holds more. */
export function indexedStore(name = "warren", factory: IDBFactory = indexedDB): Store {
  const answer = <Value>(request: IDBRequest<Value>) =>
    new Promise<Value>((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  let opened: Promise<IDBDatabase> | null = null;
  const open = () => {
    const request = factory.open(name, 1);
    request.onupgradeneeded = () => request.result.createObjectStore("states");
    return answer(request);
  };
  const act = async <Value>(mode: IDBTransactionMode, ask: (states: IDBObjectStore) => IDBRequest<Value>): Promise<Value> => {
    const database = await (opened ??= open().catch((fault) => {
      opened = null; // the next one tries again
      throw fault;
    }));
    const transaction = database.transaction("states", mode);
    const value = await answer(ask(transaction.objectStore("states")));
    return mode === "readonly" ? value : new Promise((resolve, reject) => {
      // what is answered may still fail to be stored: quota is checked at the end
      transaction.oncomplete = () => resolve(value);
      transaction.onabort = transaction.onerror = () => reject(transaction.error);
    });
  };
  return {
    read: async (key) => (await act("readonly", (states) => states.get(key))) ?? null,
    write: async (key, text) => void (await act("readwrite", (states) => states.put(text, key))),
    remove: async (key) => void (await act("readwrite", (states) => states.delete(key))),
    keys: async () => (await act("readonly", (states) => states.getAllKeys())).map(String),
  };
}
