# Three kinds of subnets: public holds NAT gateways only; outbound holds messaging, which calls the provider;
# inside has no route to the internet: load balancer, delivery, database.

locals {
  zones           = [for letter in var.zones : "${local.region}${letter}"]
  inside_blocks   = [for index in range(length(var.zones)) : cidrsubnet(var.vpc_cidr, 4, index)]
  outbound_blocks = [for index in range(length(var.zones)) : cidrsubnet(var.vpc_cidr, 4, 4 + index)]
  public_blocks   = [for index in range(length(var.zones)) : cidrsubnet(var.vpc_cidr, 4, 8 + index)]
  nat_count       = var.nat_per_zone ? length(var.zones) : 1
}

resource "aws_vpc" "main" {
  cidr_block           = var.vpc_cidr
  enable_dns_support   = true
  enable_dns_hostnames = true

  tags = { Name = var.name }
}

# The group that AWS makes with every VPC lets its members talk; without rules it is of no use to anybody.
resource "aws_default_security_group" "closed" {
  vpc_id = aws_vpc.main.id
}

# CloudFront's VPC origins ask for a gateway on the VPC, though no route of theirs leads through it.
resource "aws_internet_gateway" "main" {
  vpc_id = aws_vpc.main.id

  tags = { Name = var.name }
}

resource "aws_subnet" "inside" {
  count             = length(var.zones)
  vpc_id            = aws_vpc.main.id
  availability_zone = local.zones[count.index]
  cidr_block        = local.inside_blocks[count.index]

  tags = { Name = "${var.name}-inside-${local.zones[count.index]}" }
}

resource "aws_subnet" "outbound" {
  count             = length(var.zones)
  vpc_id            = aws_vpc.main.id
  availability_zone = local.zones[count.index]
  cidr_block        = local.outbound_blocks[count.index]

  tags = { Name = "${var.name}-outbound-${local.zones[count.index]}" }
}

resource "aws_subnet" "public" {
  count             = local.nat_count
  vpc_id            = aws_vpc.main.id
  availability_zone = local.zones[count.index]
  cidr_block        = local.public_blocks[count.index]

  tags = { Name = "${var.name}-public-${local.zones[count.index]}" }
}

resource "aws_eip" "nat" {
  # checkov:skip=CKV2_AWS_19: these addresses belong to NAT gateways, not to instances
  count  = local.nat_count
  domain = "vpc"

  tags = { Name = "${var.name}-nat" }
}

resource "aws_nat_gateway" "outbound" {
  count         = local.nat_count
  allocation_id = aws_eip.nat[count.index].id
  subnet_id     = aws_subnet.public[count.index].id
  depends_on    = [aws_internet_gateway.main]

  tags = { Name = var.name }
}

resource "aws_route_table" "inside" {
  vpc_id = aws_vpc.main.id

  tags = { Name = "${var.name}-inside" }
}

resource "aws_route_table" "outbound" {
  count  = length(var.zones)
  vpc_id = aws_vpc.main.id

  route {
    cidr_block     = "0.0.0.0/0"
    nat_gateway_id = aws_nat_gateway.outbound[min(count.index, local.nat_count - 1)].id
  }

  tags = { Name = "${var.name}-outbound" }
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.main.id

  route {
    cidr_block = "0.0.0.0/0"
    gateway_id = aws_internet_gateway.main.id
  }

  tags = { Name = "${var.name}-public" }
}

resource "aws_route_table_association" "inside" {
  count          = length(var.zones)
  subnet_id      = aws_subnet.inside[count.index].id
  route_table_id = aws_route_table.inside.id
}

resource "aws_route_table_association" "outbound" {
  count          = length(var.zones)
  subnet_id      = aws_subnet.outbound[count.index].id
  route_table_id = aws_route_table.outbound[count.index].id
}

resource "aws_route_table_association" "public" {
  count          = local.nat_count
  subnet_id      = aws_subnet.public[count.index].id
  route_table_id = aws_route_table.public.id
}
