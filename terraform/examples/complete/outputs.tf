output "medialink" {
  description = "Where everything is."
  value       = module.medialink
}
