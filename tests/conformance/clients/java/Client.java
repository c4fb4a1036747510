// A client on java.net.http, which knows no compression; see ../README.md for what it does. `java Client.java URL`

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.WebSocket;
import java.nio.ByteBuffer;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

public class Client implements WebSocket.Listener {
    private final BlockingQueue<String> messages = new LinkedBlockingQueue<>();
    private final CompletableFuture<Boolean> control = new CompletableFuture<>();
    private final CompletableFuture<Integer> code = new CompletableFuture<>();
    private final StringBuilder parts = new StringBuilder();
    private int ack, chat;
    private String pong = "";

    public static void main(String[] arguments) throws Exception {
        new Client().run(arguments[0]);
    }

    private void run(String url) throws Exception {
        WebSocket socket = HttpClient.newHttpClient().newWebSocketBuilder()
            .subprotocols("warren.v1").buildAsync(URI.create(url), this).get(20, TimeUnit.SECONDS);
        String text = "warren ".repeat(15_000).substring(0, 100_000);
        until("WELCOME", text);
        socket.sendText("{\"type\":\"JOIN\",\"room\":\"matrix\",\"id\":\"j\"}", true).get();
        until("JOINED", text);
        for (String id : new String[] {"c1", "c2"}) {
            int acks = ack, chats = chat;
            socket.sendText("{\"type\":\"CHAT\",\"room\":\"matrix\",\"id\":\"" + id + "\",\"include_sender\":true,\"payload\":\"" + text + "\"}", true).get();
            while (ack == acks || chat == chats) next(text);
        }
        socket.sendPing(ByteBuffer.wrap("hello".getBytes())).get();
        control.get(20, TimeUnit.SECONDS);
        socket.sendText("{\"type\":\"PING\",\"id\":\"p\"}", true).get();
        until("PONG", text);
        socket.sendText("x".repeat(300_000), true);
        System.out.printf(
            "{\"extensions\":\"\",\"subprotocol\":\"%s\",\"ack\":%d,\"chat\":%d,\"pong\":\"%s\",\"control\":%b,\"code\":%d}%n",
            socket.getSubprotocol(), ack, chat, pong, control.get(), code.get(20, TimeUnit.SECONDS));
        System.exit(0);
    }

    private void until(String type, String text) throws Exception {
        while (!next(text).contains("\"type\":\"" + type + "\"")) { }
    }

    // The JDK reads no JSON; the gateway writes it without blanks, and what is looked for stands in it as it is.
    private String next(String text) throws Exception {
        String message = messages.poll(20, TimeUnit.SECONDS);
        if (message == null) throw new IllegalStateException("nothing came");
        if (message.contains("\"type\":\"ACK\"")) ack++;
        if (message.contains("\"type\":\"CHAT\"") && message.contains("\"" + text + "\"")) chat++;
        if (message.contains("\"type\":\"PONG\"") && message.contains("\"ref\":\"p\"")) pong = "p";
        return message;
    }

    @Override
    public CompletionStage<?> onText(WebSocket socket, CharSequence data, boolean last) {
        parts.append(data);
        if (last) {
            messages.add(parts.toString());
            parts.setLength(0);
        }
        socket.request(1);
        return null;
    }

    @Override
    public CompletionStage<?> onPong(WebSocket socket, ByteBuffer data) {
        control.complete(true);
        socket.request(1);
        return null;
    }

    @Override
    public CompletionStage<?> onClose(WebSocket socket, int status, String reason) {
        code.complete(status);
        return null;
    }

    @Override
    public void onError(WebSocket socket, Throwable error) {
        error.printStackTrace();
        System.exit(1);
    }
}
