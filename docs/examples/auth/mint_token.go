// Prints a token for a user that lets it join and publish to some rooms. Needs Go's standard library alone.
//
//	JWT_SECRET=… go run mint_token.go USER [JOIN,…] [PUBLISH,…]
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"
)

const lifetime = 10 * time.Minute

// rights are patterns of rooms. What is nil is left out: there the namespaces alone decide.
type rights struct {
	Join    *[]string `json:"join,omitempty"`
	Publish *[]string `json:"publish,omitempty"`
}

type claims struct {
	User    string  `json:"sub"`
	Issued  int64   `json:"iat"`
	Expires int64   `json:"exp"`
	Rights  *rights `json:"warren,omitempty"`
}

// mint returns a token that is good for ten minutes.
func mint(secret []byte, user string, may *rights) (string, error) {
	now := time.Now()
	body, err := json.Marshal(claims{user, now.Unix(), now.Add(lifetime).Unix(), may})
	if err != nil {
		return "", err
	}
	part := base64.RawURLEncoding.EncodeToString
	signed := part([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + part(body)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(signed))
	return signed + "." + part(mac.Sum(nil)), nil
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: mint_token USER [JOIN,…] [PUBLISH,…]")
		os.Exit(2)
	}
	var may *rights
	if len(os.Args) > 2 {
		join := strings.Split(os.Args[2], ",")
		may = &rights{Join: &join}
	}
	if len(os.Args) > 3 {
		publish := strings.Split(os.Args[3], ",")
		may.Publish = &publish
	}
	token, err := mint([]byte(os.Getenv("JWT_SECRET")), os.Args[1], may)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(token)
}
