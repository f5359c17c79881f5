"""start_response, write and bodies, case by case."""

import sys
import unittest

from harness import Answer, Closing, WsgiTest, simple


class Start(WsgiTest):
    def test_status_and_headers(self):
        headers = [("Content-Type", "text/html"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-Raw", "\xfc")]
        answer = Answer(simple([b"hi"], "418 I'm a teapot", headers))
        self.assertEqual((answer.status, answer.reason, answer.body), (418, b"I'm a teapot", b"hi"))
        self.assertEqual(answer.headers, headers + [("content-length", "2")])
        self.assertEqual(answer.kinds, ["Response"])
        self.check_ends_once(answer)

    def refused(self, exception, message, *args):
        seen = []

        def app(environ, start_response):
            try:
                start_response(*args)
            except Exception as error:
                seen.append(error)
            start_response("200 OK", [])
            return [b"recovered"]

        answer = Answer(app)
        self.assertEqual(answer.body, b"recovered")
        self.assertEqual(answer.errors, "")
        self.assertIs(type(seen[0]), exception)
        self.assertIn(message, str(seen[0]))

    def test_refused(self):
        ok = "200 OK"
        for exception, message, args in [
            (TypeError, "status must be a str, not bytes", (b"200 OK", [])),
            (TypeError, "status must be a str, not int", (200, [])),
            (ValueError, "status must be of the form", ("200", [])),
            (ValueError, "status must be of the form", ("OK 200", [])),
            (ValueError, "status must be of the form", ("200 OK\r\nX: y", [])),
            (ValueError, "status 101", ("101 Switching Protocols", [])),
            (ValueError, "latin-1", ("200 \u20ac", [])),
            (TypeError, "must be a list, not tuple", (ok, ())),
            (TypeError, "must be a list, not dict", (ok, {})),
            (TypeError, "must be a tuple (name, value)", (ok, [["a", "b"]])),
            (TypeError, "must be a tuple (name, value)", (ok, [("a",)])),
            (TypeError, "name must be a str, not bytes", (ok, [(b"a", "b")])),
            (TypeError, "value must be a str, not int", (ok, [("Content-Length", 5)])),
            (ValueError, "latin-1", (ok, [("a", "\u20ac")])),
            (ValueError, "not a valid header name", (ok, [("a b", "c")])),
            (ValueError, "not a valid header name", (ok, [("", "c")])),
            (ValueError, "control character 0x0d", (ok, [("a", "b\r\nInjected: 1")])),
            (ValueError, "control character 0x00", (ok, [("a", "b\0")])),
            (ValueError, "hop-by-hop", (ok, [("Connection", "close")])),
            (ValueError, "hop-by-hop", (ok, [("transfer-encoding", "chunked")])),
            (ValueError, "Content-Length must be a number", (ok, [("Content-Length", "-1")])),
            (ValueError, "more than one Content-Length", (ok, [("Content-Length", "1"), ("content-length", "1")])),
        ]:
            with self.subTest(args=args):
                self.refused(exception, message, *args)

    def test_twice(self):
        def app(environ, start_response):
            start_response("200 OK", [])
            start_response("201 Created", [])

        answer = Answer(app)
        self.assertEqual(answer.kinds, ["Failed"])
        self.assertIn("second time", answer.errors)

    def test_exc_info_replaces_before_anything_is_sent(self):
        def app(environ, start_response):
            start_response("200 OK", [("X-Old", "1")])
            try:
                raise ValueError("oops")
            except ValueError:
                start_response("500 Oops", [("X-New", "1")], sys.exc_info())
            return [b"sorry"]

        answer = Answer(app)
        self.assertEqual((answer.status, answer.reason, answer.body), (500, b"Oops", b"sorry"))
        self.assertEqual(answer.headers, [("X-New", "1"), ("content-length", "5")])

    def test_exc_info_raises_after_the_head_is_sent(self):
        def app(environ, start_response):
            write = start_response("200 OK", [])
            write(b"some")
            try:
                raise ValueError("the original")
            except ValueError:
                start_response("500 Oops", [], sys.exc_info())
            return [b"never"]

        answer = Answer(app)
        self.assertEqual(answer.kinds, ["Response", "Abort"])
        self.assertEqual(answer.body, b"some")
        self.assertIn("ValueError: the original", answer.errors)
        self.check_ends_once(answer)

    def test_exc_info_none(self):
        def app(environ, start_response):
            start_response("200 OK", [], None)
            return [b"x"]

        self.assertEqual(Answer(app).body, b"x")

    def test_never_called(self):
        for body in ([], [b"x"], [b""], iter([b"x"]), iter([])):
            answer = Answer(lambda environ, start_response: body)
            self.assertEqual(answer.kinds, ["Invalid"])
            self.assertIn(b"start_response", answer.reason)
            self.assertIn('carme: request 3f2a "GET /a%20b?x=1": ', answer.errors)

    def test_called_by_the_iterable(self):
        def app(environ, start_response):
            start_response("200 OK", [])
            yield b"a"
            yield b"b"

        answer = Answer(app)
        self.assertEqual(answer.body, b"ab")
        self.assertEqual([r["body"] for r in answer.records], [b"a", b"b", b""])
        self.check_ends_once(answer)

    def test_too_large_a_head(self):
        answer = Answer(simple([b"x"], headers=[("X", "y" * 70000)]))
        self.assertEqual(answer.kinds, ["Invalid"])
        self.assertIn(b"response head", answer.reason)


class Body(WsgiTest):
    def test_lists(self):
        for items in ([b"one"], (b"one",), [b"o", b"n", b"e"], (b"", b"one", b""), [b"one", b""]):
            answer = Answer(simple(items))
            self.assertEqual((answer.kinds, answer.body), (["Response"], b"one"))
            self.assertEqual(answer.header("content-length"), ["3"])
            self.check_ends_once(answer)
        for items in ([], (), [b""], [b"", b""]):
            answer = Answer(simple(items))
            self.assertEqual((answer.kinds, answer.body), (["Response"], b""))
            self.assertEqual(answer.header("content-length"), ["0"])
            self.check_ends_once(answer)

    def test_large(self):
        for items in ([b"x" * 300000], [b"x" * 100000, b"y" * 100000], [b"z" * (64 << 10)]):
            answer = Answer(simple(items), reluctant=True)
            self.assertEqual(answer.body, b"".join(items))
            self.assertEqual(answer.header("content-length"), [str(len(answer.body))])
            self.assertTrue(all(len(r["body"]) <= 64 << 10 for r in answer.records))
            self.check_ends_once(answer)

    def test_items_go_out_as_they_come(self):
        records = []

        class App:
            def __init__(self, environ, start_response):
                start_response("200 OK", [])

            def __iter__(self):
                yield b""
                yield b"first"
                yield b""
                yield b"x" * 100000

        answer = Answer(App, reluctant=True)
        self.assertEqual([len(r["body"]) for r in answer.records][0], 5)
        self.assertEqual(answer.body, b"first" + b"x" * 100000)
        self.assertEqual(answer.header("content-length"), [])
        self.check_ends_once(answer)

    def test_empty_iterables(self):
        for items in (iter([]), iter([b""]), (b"" for _ in range(3))):
            answer = Answer(simple(items))
            self.assertEqual((answer.kinds, answer.body, answer.header("content-length")), (["Response"], b"", ["0"]))

    def test_close(self):
        for items in ([b"a", b"b"], [], [b""], [b"a", ValueError("x")], [ValueError("x")], ["str"], [b"a", 5], [SystemExit(3)]):
            body = Closing(items)
            answer = Answer(simple(body))
            self.assertEqual(body.closed, 1, items)
            self.check_ends_once(answer)

    def test_close_when_the_client_left(self):
        body = Closing([b"a", b"b", b"c"])
        answer = Answer(simple(body), gone_after=2)
        self.assertEqual(body.closed, 1)
        self.assertEqual(next(body.items, None), None)
        self.assertEqual(answer.kinds, ["Response", "Body", "Abort"])
        self.assertEqual(answer.errors, "")

    def test_close_raises(self):
        class Bad(Closing):
            def close(self):
                raise KeyError("in close")

        answer = Answer(simple(Bad([b"a"])))
        self.assertEqual((answer.kinds, answer.body), (["Response", "Body"], b"a"))
        self.assertIn("KeyError: 'in close'", answer.errors)
        self.check_ends_once(answer)

    def test_content_length_is_kept_to(self):
        five = [("Content-Length", "5")]
        answer = Answer(simple([b"12345"], headers=five))
        self.assertEqual((answer.kinds, answer.body, answer.headers, answer.errors), (["Response"], b"12345", five, ""))
        answer = Answer(simple(iter([b"123", b"45"]), headers=five))
        self.assertEqual((answer.kinds, answer.body, answer.errors), (["Response", "Body"], b"12345", ""))
        self.check_ends_once(answer)
        for body in ([b"1234567"], [b"123", b"4567"], [b"12345", b"6"], [b"1", b"2345", b"", b"67"]):
            for given in (body, iter(body)):
                answer = Answer(simple(given, headers=five))
                self.assertEqual(answer.body, b"12345")
                self.assertIn("longer than its Content-Length", answer.errors)
                self.check_ends_once(answer)
        for body in ([b"123"], iter([b"123"]), iter([b"1", b"23"])):
            answer = Answer(simple(body, headers=five))
            self.assertEqual((answer.kinds[-1], answer.body), ("Abort", b"123"))
            self.assertIn("2 bytes before its Content-Length", answer.errors)
            self.check_ends_once(answer)
        answer = Answer(simple([], headers=five))
        self.assertEqual(answer.kinds, ["Invalid"])

    def test_head(self):
        for body, length in (([b"12345"], ["5"]), ([b"1", b"23"], ["3"]), ([], []), ([b""], [])):
            answer = Answer(simple(body), method=b"HEAD")
            self.assertEqual((answer.kinds, answer.body, answer.header("content-length")), (["Response"], b"", length))
            self.check_ends_once(answer)
            self.assertEqual(answer.errors, "")
        body = Closing([b"123", b"45"])
        answer = Answer(simple(body, headers=[("Content-Length", "5")]), method=b"HEAD")
        self.assertEqual((answer.body, answer.header("content-length"), body.closed), (b"", ["5"], 1))
        self.check_ends_once(answer)

    def test_bodiless_statuses(self):
        for status in ("204 No Content", "304 Not Modified"):
            for body in ([], [b"not sent"], iter([b"not sent", b"nor this"])):
                answer = Answer(simple(body, status))
                self.assertEqual((answer.kinds, answer.body, answer.headers), (["Response"], b"", []))
                self.assertEqual(answer.errors, "")
                self.check_ends_once(answer)
        length = [("Content-Length", "5")]
        self.assertEqual(Answer(simple([], "304 Not Modified", length)).headers, length)
        self.assertEqual(Answer(simple([], "204 No Content", length)).headers, [])

    def test_not_bytes(self):
        for body, name in ((["text"], b"str"), ([None], b"NoneType"), (iter(["text"]), b"str"), ("text", b"str"), ([bytearray(b"x")], b"bytearray")):
            answer = Answer(simple(body))
            self.assertEqual(answer.kinds, ["Invalid"])
            self.assertIn(name, answer.reason)
        for result, name in ((None, b"NoneType"), (5, b"int")):
            answer = Answer(simple(result))
            self.assertEqual(answer.kinds, ["Invalid"])
            self.assertIn(b"must return an iterable of bytes; it returned " + name, answer.reason)

    def test_write(self):
        def app(environ, start_response):
            write = start_response("200 OK", [("X", "y")])
            write(b"")
            write(b"one ")
            write(b"two ")
            return [b"three"]

        answer = Answer(app)
        self.assertEqual((answer.body, answer.headers), (b"one two three", [("X", "y")]))
        self.check_ends_once(answer)

        def app(environ, start_response):
            write = start_response("200 OK", [])
            try:
                write("text")
            except TypeError as error:
                write(str(error).encode())
            return []

        self.assertEqual(Answer(app).body, b"write() takes bytes, not str")

    def test_write_after_the_end(self):
        kept = []

        def app(environ, start_response):
            kept.append(start_response("200 OK", []))
            return [b"x"]

        self.assertEqual(Answer(app).body, b"x")
        kept[0](b"late")

    def test_write_when_the_client_left(self):
        seen = []

        def app(environ, start_response):
            write = start_response("200 OK", [])
            write(b"a")
            try:
                write(b"b")
            except BrokenPipeError as error:
                seen.append(str(error))
                raise
            return []

        answer = Answer(app, gone_after=1)
        self.assertEqual(seen, ["the client has left"])
        self.assertEqual(answer.kinds, ["Response", "Abort"])


if __name__ == "__main__":
    unittest.main()
