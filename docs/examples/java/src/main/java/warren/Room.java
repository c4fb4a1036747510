package warren;

import com.google.gson.JsonObject;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedList;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What a client of Warren must remember of one room, so that it shows each message once and in order, and says so where some were lost. It
 * does no I/O: frames go in, what is to be shown and sent comes out. docs/protocol.md, "Order and position", is its rule.
 */
final class Room {
    final String name;
    private String epoch; // null: never joined
    private long seq;
    private long known; // seqs up to this one may be missing: the server has said so
    private final Set<Long> own = new HashSet<>(); // seqs of our own messages, which come in ACKs
    private final LinkedList<JsonObject> held = new LinkedList<>(); // what came after a seq that is missing
    private final Map<String, JsonObject> waiting = new LinkedHashMap<>(); // what is not acknowledged yet, by id
    private int joins;

    Room(String name) {
        this.name = name;
    }

    /** The JOIN for it, with the position up to which we have seen it. */
    JsonObject join() {
        var payload = new JsonObject();
        if (epoch != null) {
            var since = new JsonObject();
            since.addProperty("epoch", epoch);
            since.addProperty("seq", seq);
            payload.add("since", since);
        }
        held.clear(); // comes again
        return frame("JOIN", "join-" + ++joins, payload);
    }

    /** A message's frame. It is kept until it is acknowledged; the id makes repeats harmless. */
    JsonObject say(String id, String text) {
        var payload = new JsonObject();
        payload.addProperty("text", text);
        var frame = frame("CHAT", id, payload);
        waiting.put(id, frame);
        return frame;
    }

    /** All that is to be sent again after a reconnect, in order. */
    List<JsonObject> unacknowledged() {
        return List.copyOf(waiting.values());
    }

    /** The frame of a message that is not acknowledged; null: there is none. */
    JsonObject unacknowledged(String id) {
        return waiting.get(id);
    }

    /** The message was refused for good. */
    void forget(String id) {
        waiting.remove(id);
    }

    /** Takes JOINED; returns false where messages were lost for good. */
    boolean joined(JsonObject at) {
        held.clear(); // what was held back is among the missed ones
        if (at.get("recovered").getAsBoolean()) { // what follows may lack expired messages, and nothing else
            known = Math.max(known, at.get("seq").getAsLong() + at.get("missed").getAsLong());
            return true;
        }
        boolean isFirst = epoch == null;
        epoch = at.get("epoch").getAsString();
        seq = at.get("seq").getAsLong();
        known = 0;
        own.clear();
        return isFirst;
    }

    /** We read too slowly: seqs up to this one may be missing. */
    void dropped(long upto) {
        known = Math.max(known, upto);
    }

    /** Takes the ACK of a message of our own, and returns what it lets us show. */
    List<JsonObject> acknowledged(JsonObject ack) {
        waiting.remove(ack.get("ref").getAsString());
        var at = ack.getAsJsonObject("payload"); // without seq: the message is not numbered
        if (at.has("seq") && at.get("epoch").getAsString().equals(epoch) && at.get("seq").getAsLong() > seq) {
            own.add(at.get("seq").getAsLong());
        }
        return next();
    }

    /** Takes a message, and returns what is to be shown: nothing where it is a repeat, or where one before it is missing. */
    List<JsonObject> take(JsonObject message) {
        if (!message.has("seq")) { // not numbered: TYPING, for example
            return List.of(message);
        }
        held.add(message);
        return next();
    }

    /** Something is missing. Own messages explain it, once their ACKs are there; so wait a second, and then send {@link #join} again. */
    boolean hasGap() {
        return !held.isEmpty();
    }

    private List<JsonObject> next() {
        var shown = new ArrayList<JsonObject>();
        while (!held.isEmpty()) {
            var first = held.getFirst();
            if (!first.get("epoch").getAsString().equals(epoch)) {
                return shown; // no JOINED has announced it
            }
            long its = first.get("seq").getAsLong();
            while (own.remove(seq + 1) || (seq + 1 <= known && seq + 1 < its)) {
                seq++;
            }
            if (its > seq + 1) {
                return shown;
            }
            held.removeFirst();
            if (its == seq + 1) {
                seq++;
                shown.add(first);
            }
        }
        while (own.remove(seq + 1)) {
            seq++;
        }
        return shown;
    }

    private JsonObject frame(String type, String id, JsonObject payload) {
        var frame = new JsonObject();
        frame.addProperty("type", type);
        frame.addProperty("room", name);
        frame.addProperty("id", id);
        frame.add("payload", payload);
        return frame;
    }
}
