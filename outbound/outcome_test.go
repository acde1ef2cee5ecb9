package outbound

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/egress"
)

// Answers are judged by their status, and by Retry-After where it counts.
func TestJudge(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		header http.Header
		want   outcome
	}{
		"200":               {200, nil, outcome{}},
		"204":               {204, nil, outcome{}},
		"299":               {299, nil, outcome{}},
		"101":               {101, nil, outcome{class: ClassStatus}},
		"300":               {300, nil, outcome{class: ClassRedirect}},
		"301 without where": {301, nil, outcome{class: ClassRedirect}},
		"304":               {304, nil, outcome{class: ClassStatus}},
		"400":               {400, nil, outcome{class: ClassStatus}},
		"410":               {410, nil, outcome{class: ClassGone}},
		"429":               {429, http.Header{"Retry-After": {"7"}}, outcome{class: ClassStatus, overloaded: true, retryAfter: 7 * time.Second}},
		"500":               {500, nil, outcome{class: ClassStatus}},
		"502":               {502, nil, outcome{class: ClassStatus, overloaded: true}},
		"503 with a pause":  {503, http.Header{"Retry-After": {"1"}}, outcome{class: ClassStatus, retryAfter: time.Second}},
		"504":               {504, nil, outcome{class: ClassStatus, overloaded: true}},
		"520 without text":  {520, nil, outcome{class: ClassStatus}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.header == nil {
				c.header = http.Header{}
			}
			got := judge(&http.Response{StatusCode: c.status, Header: c.header}, time.Now())
			if got.class != "" && got.message == "" || got.message != strings.TrimSpace(got.message) {
				t.Errorf("got message %q, want one for people", got.message)
			}
			got.message = ""
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// Retry-After is read in seconds or as a date, by the receiver's own clock.
func TestRetryAfter(t *testing.T) {
	sent := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for value, c := range map[string]struct {
		date string
		want time.Duration
	}{
		"":                              {"", 0},
		"0":                             {"", 0},
		"120":                           {"", 2 * time.Minute},
		" 120 ":                         {"", 2 * time.Minute},
		"-5":                            {"", 0},
		"1.5":                           {"", 0},
		"NaN":                           {"", 0},
		"soon":                          {"", 0},
		"315360000":                     {"", maxRetryAfter}, // ten years
		"9223372036854775807":           {"", maxRetryAfter},
		"99999999999999999999999":       {"", maxRetryAfter},
		"-99999999999999999999999":      {"", 0},
		"Sun, 01 Mar 2026 12:01:00 GMT": {"", time.Minute},
		// The receiver's clock is an hour ahead, as its Date header shows.
		"Sun, 01 Mar 2026 13:01:00 GMT": {"Sun, 01 Mar 2026 13:00:00 GMT", time.Minute},
		"Sun, 01 Mar 2020 12:01:00 GMT": {"", 0},
		"Sun, 01 Mar 2093 12:01:00 GMT": {"", maxRetryAfter},
	} {
		h := http.Header{"Retry-After": {value}}
		if c.date != "" {
			h.Set("Date", c.date)
		}
		if got := retryAfter(h, sent); got != c.want {
			t.Errorf("%q: got %v, want %v", value, got, c.want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("120", "")
	f.Add("Sun, 01 Mar 2026 12:01:00 GMT", "Sun, 01 Mar 2026 12:00:00 GMT")
	f.Fuzz(func(t *testing.T, value, date string) {
		d := retryAfter(http.Header{"Retry-After": {value}, "Date": {date}}, time.Unix(1e9, 0))
		if d < 0 || d > maxRetryAfter {
			t.Errorf("got %v, want 0 to %v", d, maxRetryAfter)
		}
	})
}

// The message about a redirect has its scheme and host, but no credentials, path or query,
// and nothing that isn't an http or https URL of reasonable length.
func TestWhereARedirectPointed(t *testing.T) {
	for location, want := range map[string]string{
		"https://new.example.com/hooks?token=1":    " (it pointed to https://new.example.com)",
		"https://me:password@new.example.com:8443": " (it pointed to https://new.example.com:8443)",
		"/hooks":                       "",
		"javascript://new.example.com": "",
		"https://new.example.com/%zz":  "", // no URL
		"https://" + strings.Repeat("a", 60<<10) + "/hooks": "", // too long to keep with each attempt
	} {
		o := judge(&http.Response{StatusCode: 308, Header: http.Header{"Location": {location}}}, time.Now())
		if !strings.HasSuffix(o.message, "update the subscription's URL"+want) {
			t.Errorf("%.60s: got %.120s, want it to end with %q", location, o.message, want)
		}
	}
}

type timeoutError struct{}

func (timeoutError) Error() string   { return "too late" }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }

// Each error of an attempt has a class, and a message without the address, which tenants
// mustn't learn.
func TestFailuresHaveAClassAndNoAddress(t *testing.T) {
	address := &net.TCPAddr{IP: net.IPv4(10, 20, 30, 40), Port: 4711}
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Addr: address, Err: err} }
	read := func(err error) error { return &net.OpError{Op: "read", Net: "tcp", Addr: address, Err: err} }
	const broke = "the connection broke before the response"
	for name, c := range map[string]struct {
		err         error
		class, says string
	}{
		"no such host":      {&net.DNSError{IsNotFound: true, Name: "x", Server: "10.20.30.40"}, ClassDNS, "the host name was not found"},
		"none, says egress": {&egress.ConnectError{Stage: egress.StageDNS, Host: "x", Err: &net.DNSError{IsNotFound: true}}, ClassDNS, "the host name was not found"},
		"dns timeout":       {&net.DNSError{IsTimeout: true, Name: "x", Server: "10.20.30.40"}, ClassDNS, "could not be resolved"},
		"refused":           {dial(syscall.ECONNREFUSED), ClassConnect, "no connection: connection refused"},
		"no route":          {dial(syscall.EHOSTUNREACH), ClassConnect, "no connection: no route to host"},
		"no address":        {dial(errors.New("10.20.30.40 has no route")), ClassConnect, "no connection"},
		"dial timeout":      {dial(timeoutError{}), ClassTimeout, "no response"},
		"deadline":          {context.DeadlineExceeded, ClassTimeout, "no response"},
		"reset":             {read(syscall.ECONNRESET), ClassReset, broke},
		"eof":               {io.EOF, ClassReset, broke},
		"unexpected eof":    {fmt.Errorf("x: %w", io.ErrUnexpectedEOF), ClassReset, broke},
		"other host's cert": {&tls.CertificateVerificationError{Err: x509.HostnameError{Certificate: &x509.Certificate{}, Host: "10.20.30.40"}}, ClassTLS, "for another host name"},
		"expired":           {&tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.Expired}}, ClassTLS, "has expired"},
		"unknown authority": {&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, ClassTLS, "its issuer is unknown"},
		"too many names":    {&tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.TooManyConstraints}}, ClassTLS, "did not verify"},
		"no tls":            {tls.RecordHeaderError{Msg: "10.20.30.40"}, ClassTLS, "does not speak TLS"},
		"old tls":           {errors.New("tls: server selected unsupported protocol version 301"), ClassTLS, "the TLS handshake failed"},
		"closed meanwhile":  {net.ErrClosed, ClassReset, broke},
		"closed while idle": {errors.New("http: server closed idle connection"), ClassReset, broke},
		"lost":              {errors.New("http2: client connection lost"), ClassReset, broke},
		"closed at once":    {errors.New("http2: client conn could not be established"), ClassReset, broke},
		"not taken":         {errors.New("http2: Transport: cannot retry err [stream error: stream ID 1; REFUSED_STREAM] after Request.Body was written"), ClassReset, "before it took the request"},
		"proxy":             {&egress.ConnectError{Stage: egress.StageProxy, Host: "x", Err: errors.New("10.20.30.40 says 503")}, ClassConnect, "the egress proxy made no connection"},
		"proxy's eof":       {&egress.ConnectError{Stage: egress.StageProxy, Host: "x", Err: io.EOF}, ClassConnect, "the egress proxy made no connection"},
		"proxy's time":      {&egress.ConnectError{Stage: egress.StageProxy, Host: "x", Err: timeoutError{}}, ClassTimeout, "the egress proxy made no connection in time"},
		"garbage":           {errors.New(`net/http: HTTP/1.x transport connection broken: malformed HTTP response "x"`), ClassProtocol, "not valid HTTP"},
		"a bad header":      {errors.New(`net/http: HTTP/1.x transport connection broken: malformed MIME header line: x`), ClassProtocol, "not valid HTTP"},
		"two lengths":       {errors.New(`net/http: HTTP/1.x transport connection broken: http: message cannot contain multiple Content-Length headers; got ["1" "2"]`), ClassProtocol, "not valid HTTP"},
		"large headers":     {errors.New("net/http: server response headers exceeded 65536 bytes; aborted"), ClassProtocol, "over 64 KiB"},
	} {
		t.Run(name, func(t *testing.T) {
			o := failure(c.err)
			if o.class != c.class || !strings.Contains(o.message, c.says) || o.ok() {
				t.Errorf("got %+v, want class %s: %s", o, c.class, c.says)
			}
			if strings.Contains(o.message, "10.20.30.40") {
				t.Errorf("got message %q, want one without the address", o.message)
			}
		})
	}
	if o := failure(context.Canceled); !o.aborted || o.ok() {
		t.Errorf("broken off: got %+v, want aborted", o)
	}
}

// What the server lacks for an attempt isn't a failure of the receiver, nor is it if that is
// so of a connection to the egress proxy. An address of IPv6 may be one that the server can
// never reach.
func TestShortages(t *testing.T) {
	to := func(ip string) *net.TCPAddr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 443} }
	for name, c := range map[string]struct {
		errno   syscall.Errno
		address *net.TCPAddr
		lacks   bool
	}{
		"files":             {syscall.EMFILE, to("192.0.2.1"), true},
		"files, all":        {syscall.ENFILE, to("192.0.2.1"), true},
		"buffers":           {syscall.ENOBUFS, to("192.0.2.1"), true},
		"memory":            {syscall.ENOMEM, to("2001:db8::1"), true},
		"ports":             {syscall.EADDRNOTAVAIL, to("192.0.2.1"), true},
		"an address":        {syscall.EADDRNOTAVAIL, to("2001:db8::1"), false},
		"of the receiver's": {syscall.ECONNREFUSED, to("192.0.2.1"), false},
	} {
		for _, stage := range []string{egress.StageConnect, egress.StageProxy} {
			err := &net.OpError{Op: "dial", Net: "tcp", Addr: c.address, Err: os.NewSyscallError("connect", c.errno)}
			o := failure(&egress.ConnectError{Stage: stage, Host: "x", Err: err})
			if o.class != ClassConnect || o.aborted != c.lacks || c.lacks && o.retryAfter != shortagePause {
				t.Errorf("%s, %s: got %+v, want aborted %v", name, stage, o, c.lacks)
			}
		}
	}
}

// A receiver's certificate for another use, such as a client's, has an error of its own: a
// private CA issues both.
func TestCertificateForAnotherUse(t *testing.T) {
	key := must.Get(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der := must.Get(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))(t)
	r := httptest.NewUnstartedServer(http.NotFoundHandler())
	r.Config.ErrorLog = log.New(io.Discard, "", 0)
	r.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	r.StartTLS()
	defer r.Close()
	roots := x509.NewCertPool()
	roots.AddCert(r.Certificate())
	_, err := tls.Dial("tcp", r.Listener.Addr().String(), &tls.Config{RootCAs: roots, ServerName: "localhost"})
	want := outcome{class: ClassTLS, message: "the certificate is not trusted: it is not for servers: have one issued with the extended key usage serverAuth"}
	if got := failure(err); got != want {
		t.Errorf("%v: got %+v, want %+v", err, got, want)
	}
}

// A timeout of the egress proxy, or of resolving its name, is reported as the proxy's
// failure instead of the receiver's, with the cause for the operator.
func TestAProxyThatTakesItsTime(t *testing.T) {
	for _, cause := range []error{timeoutError{}, &net.OpError{Op: "dial", Err: &net.DNSError{IsTimeout: true, Name: "proxy"}}} {
		o := failure(&url.Error{Op: "Post", URL: "http://x", Err: &egress.ConnectError{Stage: egress.StageProxy, Host: "x", Err: cause}})
		if o.class != ClassTimeout || o.message != "the egress proxy made no connection in time" || o.detail != cause.Error() {
			t.Errorf("%v: got %+v, want class %s of the egress proxy", cause, o, ClassTimeout)
		}
	}
}

// The message about a TLS alert that has nothing to do with certificates doesn't suggest
// one.
func TestTLSAlertOfAnotherKind(t *testing.T) {
	r := httptest.NewUnstartedServer(http.NotFoundHandler())
	r.Config.ErrorLog = log.New(io.Discard, "", 0)
	r.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
	r.StartTLS()
	defer r.Close()
	_, err := tls.Dial("tcp", r.Listener.Addr().String(), &tls.Config{MaxVersion: tls.VersionTLS12})
	want := outcome{class: ClassTLS, message: "the receiver refused the TLS connection (protocol version not supported)"}
	if got := failure(err); got != want {
		t.Errorf("%v: got %+v, want %+v", err, got, want)
	}
}

// A receiver that demands a client certificate refuses the connection in the handshake, or
// after it in TLS 1.3. Both have class tls.
func TestRefusedTLS(t *testing.T) {
	for version, says := range map[uint16]string{tls.VersionTLS12: "(handshake failure)", tls.VersionTLS13: "(certificate required)"} {
		r := httptest.NewUnstartedServer(http.NotFoundHandler())
		r.Config.ErrorLog = log.New(io.Discard, "", 0)
		r.TLS = &tls.Config{MaxVersion: version, ClientAuth: tls.RequireAnyClientCert}
		r.StartTLS()
		defer r.Close()
		conn, err := tls.Dial("tcp", r.Listener.Addr().String(), r.Client().Transport.(*http.Transport).TLSClientConfig)
		if err == nil {
			_, err = conn.Read(make([]byte, 1))
			conn.Close()
		}
		if o := failure(err); o.class != ClassTLS || !strings.Contains(o.message, says) || !strings.Contains(o.message, "egress { tls_client_auth … }") {
			t.Errorf("%v: got %+v, want class tls with %s", err, o, says)
		}
	}
}
