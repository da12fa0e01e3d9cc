# Speaks as Karma's two Ruby clients do, and prints one line for each call: the request's name and
# what the client would have given to its program.
#
#   karma_client.rb v1 HOST PORT     the gem `karma`, release 0.1.5
#   karma_client.rb v2 HOST PORT     the gem `karma_client`, release 0.2.0
#
# Standard input has the calls, one JSON array each: ["increment", {"key": 1}].
require "json"
require "ostruct"
require "socket"

# The gem `karma`: a command and its fields, ended by \r\n; the reply is one line.
class V1
  def initialize(host, port)
    @socket = TCPSocket.new(host, port)
    @tree = nil
  end

  def call(name, arguments)
    case name
    when "use" then @tree = arguments
    when "ping", "trees", "dumps", "dump_all" then send_request({ command: name })
    when "create", "drop", "dump", "load" then send_request({ command: name, tree_name: arguments })
    else
      send_request({ command: name, tree_name: @tree }.merge(arguments || {}))
    end
  end

  private

  def send_request(payload)
    @socket.write(payload.to_json + "\r\n")
    line = @socket.readline
    raise "the line does not end as Karma's: #{line.inspect}" unless line.end_with?("\r\n")

    reply = OpenStruct.new(JSON.parse(line))
    raise "unexpected fields: #{line}" unless JSON.parse(line).keys == %w[success response]

    reply.success ? reply.response : "ERROR #{reply.response}"
  end
end

# The gem `karma_client`: v and op first, then the token, fields that are nil left out.
class V2
  def initialize(host, port, token)
    @socket = TCPSocket.new(host, port)
    @token = token
  end

  def call(name, arguments)
    payload = { "v" => 2, "op" => name }
    payload["token"] = @token if @token
    payload.merge!((arguments || {}).compact)
    @socket.write(JSON.generate(payload) + "\n")
    reply = JSON.parse(@socket.gets("\n").strip)
    raise "no boolean success: #{reply}" unless [true, false].include?(reply["success"])
    raise "another version: #{reply}" unless reply["protocol_version"] == 2

    reply["success"] ? reply["response"] : "ERROR #{reply["error_code"]}"
  end
end

version, host, port = ARGV
client = version == "v1" ? V1.new(host, port.to_i) : V2.new(host, port.to_i, ENV["KARMA_TOKEN"])
$stdin.each_line do |line|
  name, arguments = JSON.parse(line)
  result = client.call(name, arguments)
  puts JSON.generate([name, result]) unless name == "use"
end
