import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.time.Instant;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * Prints a token for a user that lets it join and publish to some rooms. Needs a JDK (17 or later) alone.
 *
 * <p>JWT_SECRET=… java MintToken.java USER [JOIN,…] [PUBLISH,…]
 */
public class MintToken {
    private static final long LIFETIME_S = 600;

    /** Returns a token that is good for ten minutes. Without rights the namespaces alone decide. */
    static String mint(String secret, String user, Map<String, List<String>> rights) throws GeneralSecurityException {
        long now = Instant.now().getEpochSecond();
        String claims = "{\"sub\":" + text(user) + ",\"iat\":" + now + ",\"exp\":" + (now + LIFETIME_S)
                + (rights.isEmpty() ? "" : ",\"warren\":" + object(rights)) + "}";
        String signed = part("{\"alg\":\"HS256\",\"typ\":\"JWT\"}") + "." + part(claims);
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(secret.getBytes(StandardCharsets.UTF_8), "HmacSHA256"));
        return signed + "." + part(mac.doFinal(signed.getBytes(StandardCharsets.UTF_8)));
    }

    private static String part(String json) {
        return part(json.getBytes(StandardCharsets.UTF_8));
    }

    private static String part(byte[] bytes) {
        return Base64.getUrlEncoder().withoutPadding().encodeToString(bytes);
    }

    private static String object(Map<String, List<String>> rights) {
        return rights.entrySet().stream()
                .map(each -> text(each.getKey()) + ":"
                        + each.getValue().stream().map(MintToken::text).collect(Collectors.joining(",", "[", "]")))
                .collect(Collectors.joining(",", "{", "}"));
    }

    /** Returns a JSON string. */
    private static String text(String value) {
        StringBuilder json = new StringBuilder("\"");
        for (char c : value.toCharArray()) {
            if (c == '"' || c == '\\') {
                json.append('\\').append(c);
            } else if (c < ' ') {
                json.append(String.format("\\u%04x", (int) c));
            } else {
                json.append(c);
            }
        }
        return json.append('"').toString();
    }

    public static void main(String[] given) throws GeneralSecurityException {
        if (given.length == 0) {
            System.err.println("usage: java MintToken.java USER [JOIN,…] [PUBLISH,…]");
            System.exit(2);
        }
        Map<String, List<String>> rights = new LinkedHashMap<>();
        if (given.length > 1) {
            rights.put("join", List.of(given[1].split(",")));
        }
        if (given.length > 2) {
            rights.put("publish", List.of(given[2].split(",")));
        }
        System.out.println(mint(System.getenv("JWT_SECRET"), given[0], rights));
    }
}
