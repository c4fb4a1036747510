// Command centrifugo replaces Centrifugo if its own binary is not available: one node on the library that is its
// engine, with the library's defaults, Redis as broker and presence, and the part of its HTTP API that the benchmark uses.
// Channels that start with "kept:" keep a history and are recovered, like a namespace of Centrifugo's; others don't.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/centrifugal/centrifuge"
)

const (
	historySize = 300
	historyAge  = 5 * time.Minute
)

func kept(channel string) bool { return strings.HasPrefix(channel, "kept:") }

func options(channel string) []centrifuge.PublishOption {
	if kept(channel) {
		return []centrifuge.PublishOption{centrifuge.WithHistory(historySize, historyAge)}
	}
	return nil
}

func accept(client *centrifuge.Client) {
	client.OnSubscribe(func(e centrifuge.SubscribeEvent, reply centrifuge.SubscribeCallback) {
		reply(centrifuge.SubscribeReply{Options: centrifuge.SubscribeOptions{EnableRecovery: kept(e.Channel), EmitPresence: false}}, nil)
	})
	client.OnPublish(func(e centrifuge.PublishEvent, reply centrifuge.PublishCallback) {
		if !kept(e.Channel) {
			reply(centrifuge.PublishReply{Options: centrifuge.PublishOptions{ClientInfo: e.ClientInfo}}, nil)
			return
		}
		reply(centrifuge.PublishReply{Options: centrifuge.PublishOptions{HistorySize: historySize, HistoryTTL: historyAge, ClientInfo: e.ClientInfo}}, nil)
	})
}

// published is Centrifugo's POST /api/publish.
func published(node *centrifuge.Node, key string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-API-Key") != key {
			http.Error(w, "unauthorized", http.StatusUnauthorized)
			return
		}
		var asked struct {
			Channel string          `json:"channel"`
			Data    json.RawMessage `json:"data"`
		}
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || asked.Channel == "" {
			http.Error(w, "bad request", http.StatusBadRequest)
			return
		}
		if _, err := node.Publish(asked.Channel, asked.Data, options(asked.Channel)...); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"result":{}}`))
	}
}

func serve(address, redis, key string) error {
	node, err := centrifuge.New(centrifuge.Config{LogLevel: centrifuge.LogLevelWarn, LogHandler: func(e centrifuge.LogEntry) {
		log.Println(e.Message, e.Fields)
	}})
	if err != nil {
		return err
	}
	shard, err := centrifuge.NewRedisShard(node, centrifuge.RedisShardConfig{Address: redis})
	if err != nil {
		return err
	}
	shards := []*centrifuge.RedisShard{shard}
	broker, err := centrifuge.NewRedisBroker(node, centrifuge.RedisBrokerConfig{Shards: shards})
	if err != nil {
		return err
	}
	node.SetBroker(broker)
	presence, err := centrifuge.NewRedisPresenceManager(node, centrifuge.RedisPresenceManagerConfig{Shards: shards})
	if err != nil {
		return err
	}
	node.SetPresenceManager(presence)
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{}}, nil
	})
	node.OnConnect(accept)
	if err := node.Run(); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/connection/websocket", centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{}))
	mux.Handle("POST /api/publish", published(node, key))
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) })
	server := &http.Server{Addr: address, Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	stop, release := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer release()
	go func() {
		<-stop.Done()
		_ = server.Close()
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return node.Shutdown(context.Background())
}

func main() {
	address := flag.String("address", "127.0.0.1:8000", "where to listen")
	redis := flag.String("redis", "redis://127.0.0.1:6379", "the store")
	key := flag.String("key", "bench", "of the HTTP API")
	flag.Parse()
	if err := serve(*address, *redis, *key); err != nil {
		log.Fatal(err)
	}
}
