package egress_test

import (
	"fmt"
	"net/http"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/egress"
)

func Example() {
	policy, err := egress.NewPolicy(
		[]string{"10.20.0.0/16"},     // our own receivers
		[]string{"evil.example.com"}, // and one that nobody should reach
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	client := &http.Client{Transport: egress.NewTransport(egress.Options{Policy: policy})}
	defer client.CloseIdleConnections()

	for _, u := range []string{"http://10.20.0.5/hooks", "http://2130706433/", "https://user:password@example.com/"} {
		if _, err := policy.CheckURL(u); err != nil {
			fmt.Println("the URL is refused:", err)
		}
	}
	_, err = client.Get("http://169.254.169.254/latest/meta-data/")
	fmt.Println(err)

	// Output:
	// the URL is refused: the host is a number: write an IPv4 address as four decimal numbers, without leading zeros
	// the URL is refused: it has a user name or password: put credentials into a header, such as Authorization
	// Get "http://169.254.169.254/latest/meta-data/": deliveries to this host are not allowed: use a host with public addresses only, or have the server's configuration allow it: egress { allow … }
}
