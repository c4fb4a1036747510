package warren;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.WebSocket;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;

/**
 * Chat in the terminal, on java.net.http: joins one room, sends what is typed, and shows what others say, over any number of reconnects.
 *
 * <pre>mvn -q compile exec:java -Dexec.mainClass=warren.Chat -Dexec.args="ws://127.0.0.1:8080/ws?user=ann chat:lobby"</pre>
 */
public final class Chat {
    /** After these nobody comes back (docs/protocol.md, "Close codes"); 4001 needs a fresh token, which this program does not have. */
    private static final Set<Integer> FINAL = Set.of(1000, 1002, 4001, 4003, 4006, 4007);

    private static final long BASE_MS = 1_000;
    private static final long MOST_MS = 30_000;
    private static final long GAP_MS = 1_000;
    private static final long SILENT_MS = 60_000; // a PING goes out after half of that

    /** What happens, in order: one thread does all the rest. */
    private sealed interface Event permits Frame, Typed, Closed, Again {}

    private record Frame(JsonObject content) implements Event {}

    private record Typed(String line) implements Event {}

    /** A code of 0: the connection broke, or was never there. */
    private record Closed(int code, String reason) implements Event {}

    private record Again(String id) implements Event {}

    private final HttpClient http = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(10)).build();
    private final URI address;
    private final Room room;
    private final BlockingQueue<Typed> typed = new LinkedBlockingQueue<>(100);
    private volatile boolean isEnded;
    private long waitMs; // what the server has asked for

    private Chat(String address, String room) {
        // join=manual: nothing comes before our JOIN says what we have seen
        this.address = URI.create(address + "&join=manual");
        this.room = new Room(room);
    }

    public static void main(String[] arguments) throws InterruptedException {
        var chat = new Chat(arguments[0], arguments[1]);
        var input = new Thread(chat::read, "input");
        input.setDaemon(true);
        input.start();
        System.exit(chat.run());
    }

    private void read() {
        try (var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
            for (String line; (line = lines.readLine()) != null; ) {
                typed.put(new Typed(line));
            }
        } catch (IOException | InterruptedException gone) {
            // then nothing more is typed
        }
        isEnded = true;
    }

    private int run() throws InterruptedException {
        for (int tries = 0; ; tries++) {
            long began = System.nanoTime();
            var closed = connection();
            if (closed == null) {
                return 0;
            }
            if (FINAL.contains(closed.code())) {
                System.out.println("closed: " + closed.code() + " " + closed.reason());
                return 1;
            }
            if (System.nanoTime() - began > 5_000_000_000L) {
                tries = 0;
            }
            // full jitter: clients that were cut off together must not come back together
            long most = Math.min(BASE_MS << Math.min(tries, 5), MOST_MS);
            long wait = Math.max(ThreadLocalRandom.current().nextLong(most), waitMs);
            waitMs = 0;
            System.out.printf("%d %s; again in %.1f s%n", closed.code(), closed.reason(), wait / 1e3);
            Thread.sleep(wait);
        }
    }

    /** The life of one. Returns how it ended; null: nothing more is typed, and all is acknowledged. */
    private Closed connection() throws InterruptedException {
        var events = new LinkedBlockingQueue<Event>();
        WebSocket socket;
        try {
            socket = http.newWebSocketBuilder()
                    .subprotocols("warren.v1")
                    .connectTimeout(Duration.ofSeconds(10))
                    .buildAsync(address, new Listener(events))
                    .get(15, TimeUnit.SECONDS);
        } catch (java.util.concurrent.ExecutionException | java.util.concurrent.TimeoutException failed) {
            return new Closed(0, String.valueOf(failed.getCause() == null ? failed : failed.getCause().getMessage()));
        }
        var sender = new Sender(socket);
        try {
            return talk(events, sender);
        } finally {
            socket.sendClose(WebSocket.NORMAL_CLOSURE, "").orTimeout(1, TimeUnit.SECONDS).exceptionally(gone -> null).join();
            socket.abort();
        }
    }

    private Closed talk(BlockingQueue<Event> events, Sender sender) throws InterruptedException {
        long heard = now();
        long missingSince = 0;
        long reconnectAt = Long.MAX_VALUE;
        long pinged = heard;
        boolean isWelcome = false;
        while (true) {
            if (isWelcome && isEnded && typed.isEmpty() && room.unacknowledged().isEmpty()) {
                return null;
            }
            for (Typed next; isWelcome && (next = typed.poll()) != null; ) {
                sender.send(room.say(UUID.randomUUID().toString(), next.line()));
            }
            var event = events.poll(50, TimeUnit.MILLISECONDS);
            long now = now();
            if (event instanceof Closed closed) {
                return closed;
            } else if (event instanceof Again again) {
                var frame = room.unacknowledged(again.id());
                if (frame != null) {
                    sender.send(frame);
                }
            } else if (event instanceof Frame frame) {
                heard = now;
                var content = frame.content();
                switch (content.get("type").getAsString()) {
                    case "WELCOME" -> {
                        isWelcome = true;
                        sender.send(room.join());
                        room.unacknowledged().forEach(sender::send);
                    }
                    case "RECONNECT" -> reconnectAt = now + content.getAsJsonObject("payload").get("after_ms").getAsLong();
                    case "ERROR" -> refused(content, events);
                    default -> take(content);
                }
            }
            if (now >= reconnectAt) {
                return new Closed(0, "the server asked to reconnect");
            }
            if (now - heard > SILENT_MS) {
                return new Closed(0, "the server is silent");
            }
            if (now - heard > SILENT_MS / 2 && now - pinged > GAP_MS) {
                pinged = now;
                sender.send(JsonParser.parseString("{\"type\":\"PING\"}").getAsJsonObject());
            }
            if (!room.hasGap()) {
                missingSince = 0;
            } else if (missingSince == 0) {
                missingSince = now;
            } else if (now - missingSince > GAP_MS) {
                missingSince = 0;
                sender.send(room.join());
            }
        }
    }

    private void take(JsonObject frame) {
        if (!frame.has("room") || !frame.get("room").getAsString().equals(room.name)) {
            return;
        }
        List<JsonObject> shown = List.of();
        switch (frame.get("type").getAsString()) {
            case "JOINED" -> {
                if (!room.joined(frame.getAsJsonObject("payload"))) {
                    System.out.println("messages were lost here");
                }
                System.out.println("joined " + room.name);
            }
            case "DROPPED" -> {
                room.dropped(frame.getAsJsonObject("payload").get("seq").getAsLong());
                System.out.println("messages were withheld here: we read too slowly");
            }
            case "ACK" -> {
                shown = room.acknowledged(frame);
                var seq = frame.getAsJsonObject("payload").get("seq"); // null: not numbered
                System.out.println("sent " + (seq == null ? 0 : seq.getAsLong()));
            }
            case "LEFT", "PRESENCE", "HISTORY", "RECEIPT" -> {}
            default -> shown = room.take(frame);
        }
        for (var each : shown) {
            var sender = each.has("sender") ? each.get("sender").getAsString() : "";
            System.out.printf("%d %s: %s%n", each.has("seq") ? each.get("seq").getAsLong() : 0, sender, each.get("payload"));
        }
    }

    /** What may be sent again is, under the same id. */
    private void refused(JsonObject error, BlockingQueue<Event> events) {
        waitMs = error.has("retry_after_ms") ? error.get("retry_after_ms").getAsLong() : 0;
        var said = error.get("code").getAsString() + " " + error.get("message").getAsString();
        var id = error.has("ref") ? error.get("ref").getAsString() : "";
        if (room.unacknowledged(id) == null) {
            System.out.println(said);
        } else if (error.get("retry").getAsBoolean()) {
            var later = CompletableFuture.delayedExecutor(Math.max(waitMs, BASE_MS), TimeUnit.MILLISECONDS);
            waitMs = 0;
            later.execute(() -> events.add(new Again(id)));
        } else {
            room.forget(id);
            System.out.println("not sent: " + said);
        }
    }

    private static long now() {
        return System.nanoTime() / 1_000_000;
    }

    /** Sends one text after the other: the library refuses a second one while the first is on its way. */
    private static final class Sender {
        private final WebSocket socket;
        private CompletableFuture<?> last = CompletableFuture.completedFuture(null);

        Sender(WebSocket socket) {
            this.socket = socket;
        }

        void send(JsonObject frame) {
            // a send that fails is no news: the listener hears of it
            last = last.thenCompose(before -> socket.sendText(frame.toString(), true)).exceptionally(gone -> null);
        }
    }

    /** Puts whole messages into the queue. */
    private static final class Listener implements WebSocket.Listener {
        private final BlockingQueue<Event> events;
        private final StringBuilder text = new StringBuilder();

        Listener(BlockingQueue<Event> events) {
            this.events = events;
        }

        @Override
        public CompletionStage<?> onText(WebSocket socket, CharSequence part, boolean isLast) {
            text.append(part);
            if (isLast) {
                events.add(new Frame(JsonParser.parseString(text.toString()).getAsJsonObject()));
                text.setLength(0);
            }
            socket.request(1);
            return null;
        }

        @Override
        public CompletionStage<?> onClose(WebSocket socket, int code, String reason) {
            events.add(new Closed(code, reason));
            return null;
        }

        @Override
        public void onError(WebSocket socket, Throwable error) {
            events.add(new Closed(0, String.valueOf(error.getMessage())));
        }
    }
}
