package egress

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// ParseProxy parses the URL of an egress proxy, such as
// http://egress.internal:3128 or https://user:password@egress.example.com.
// Errors never repeat the URL, which may contain a password.
func ParseProxy(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Opaque != "":
		return nil, errors.New("parsing the egress proxy: it is not a URL: write it as http://egress.internal:3128")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("parsing the egress proxy: its URL must begin with http:// or https://")
	case u.Hostname() == "":
		return nil, errors.New("parsing the egress proxy: its URL has no host: write it as http://egress.internal:3128")
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("parsing the egress proxy: its URL has a path, query or fragment: end it after the port")
	}
	if err := checkPort(u); err != nil {
		return nil, fmt.Errorf("parsing the egress proxy: %w", err)
	}
	return u, nil
}

// proxy connects to receivers through an HTTP proxy.
//
// It uses CONNECT with an address and port, for http URLs too. The usual request
// for those, in absolute form, isn't safe: if it has the name, the proxy looks that
// up again; if it has the address, the proxy must send that as Host (RFC 9112,
// section 3.2.2). In a tunnel, Host and the TLS server name stay those of the URL.
type proxy struct {
	address string      // host and port
	tls     *tls.Config // for an https proxy, else nil
	header  http.Header // of the CONNECT request
}

func newProxy(u *url.URL, config *tls.Config) *proxy {
	p := &proxy{header: http.Header{}}
	port := "80"
	if u.Scheme == "https" {
		port = "443"
		p.tls = config.Clone()
		p.tls.ServerName = u.Hostname()
		p.tls.NextProtos = []string{"http/1.1"}
	}
	p.address = net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), port))
	if u.User != nil {
		password, _ := u.User.Password()
		credentials := base64.StdEncoding.EncodeToString([]byte(u.User.Username() + ":" + password))
		p.header.Set("Proxy-Authorization", "Basic "+credentials)
	}
	return p
}

// connect opens a tunnel to one address.
func (p *proxy) connect(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	var nd net.Dialer
	conn, err := nd.DialContext(ctx, "tcp", p.address)
	if err != nil {
		return nil, err
	}
	if p.tls != nil {
		conn = tls.Client(conn, p.tls)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	err = p.ask(conn, to)
	if !stop() {
		err = context.Cause(ctx) // the connection was closed because ctx is done
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// ask sends the CONNECT request on a new connection, and reads the response.
func (p *proxy) ask(conn net.Conn, to netip.AddrPort) error {
	request := &http.Request{Method: http.MethodConnect, URL: &url.URL{Host: to.String()}, Header: p.header}
	if err := request.Write(conn); err != nil {
		return err
	}
	reader := bufio.NewReader(io.LimitReader(conn, maxResponseHeader))
	response, err := http.ReadResponse(reader, request) //nolint:bodyclose // the body is the tunnel, which connect closes
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return &refusedError{response.StatusCode, to.Port()}
	}
	if reader.Buffered() > 0 {
		return errors.New("the proxy sent data before the receiver could have been asked")
	}
	return nil
}

// refusedError is a proxy's answer other than 200. Many proxies allow CONNECT
// to port 443 only, hence the port.
type refusedError struct {
	status int
	port   uint16
}

func (e *refusedError) Error() string {
	return fmt.Sprintf("it answered %d to CONNECT for port %d", e.status, e.port)
}
